"""A quick bench ends in time, whatever the server does; prompts that are cut are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest

from aegis_llm.bench.plan import Step, order, phases_of, quick
from aegis_llm.bench.running import Bench
from aegis_llm.bench.sending import Around
from aegis_llm.bench.values import Recorded, Sent, Settings
from aegis_llm.testing import Timing
from tests.bench.virtual_server import MODEL, measured

QUICK = quick(Settings(model=MODEL, cache=0, pause_s=0, cold=False))


def test_a_step_that_takes_for_ever_is_given_up() -> None:
    recorded = measured(QUICK, Timing(load=1.0, prefill=40.0, decode=0.8), num_parallel=1)
    assert recorded.seconds < 60
    assert "the time of" in recorded.partial
    assert recorded.sent  # what was measured before that is kept


def test_a_load_that_took_the_whole_minute_leaves_time_to_measure() -> None:
    few = msgspec.structs.replace(QUICK, levels=(1,), stress=2, rounds=1, prefix=0)
    recorded = measured(few, Timing(load=70.0, prefill=4000.0, decode=80.0), num_parallel=2)
    assert recorded.sent
    assert recorded.seconds < 70 + 30


def test_what_says_most_comes_first_and_a_load_last() -> None:
    settings = quick(Settings(model=MODEL))
    phases = phases_of(settings)
    first = [phases[step.phase] for step in order(phases, settings) if step.round == 0]
    assert first[-1].kind == "cold"
    cache = [one.way for one in first if one.kind == "cache"]
    assert cache == ["through", "around"]
    whole = msgspec.structs.replace(settings, budget_s=None)
    assert {Step(*step) for step in order(phases, whole)} == set(order(phases, settings))


class _Cuts:
    """A server that reads at most 200 tokens, one a word."""

    told_at = None

    def clock(self) -> float:
        return 0.0

    async def send(self, body: Mapping[str, Any], blank: Sent, question: str = "") -> Sent:
        words = len(body["messages"][-1]["content"].split())
        return msgspec.structs.replace(blank, read=min(words, 200), prefill=0.1, decode=0.1)


@pytest.mark.parametrize(("tokens", "told"), [(150, False), (400, True)])
async def test_prompts_that_the_server_cuts_are_told(tokens: int, *, told: bool) -> None:
    settings = Settings(
        model=MODEL, levels=(1,), stress=1, rounds=1, each=1, baseline=1, prompt_tokens=tokens,
        cache=0, prefix=0, pause_s=0, cold=False,
    )  # fmt: skip
    recorded = Recorded(settings=settings)
    await Bench(recorded, cast("Around", _Cuts())).run()
    assert len(recorded.sent) == 3
    assert any("the context of a slot is too small" in said for said in recorded.notes) is told
