"""Better, worse or within noise: on results whose truth is known."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from aegis_llm.bench.comparing import Comparison, compare
from aegis_llm.bench.plan import phases_of
from aegis_llm.bench.ratios import OVER_ALL
from aegis_llm.bench.results import Results, decode, encode
from aegis_llm.bench.slots import Knee
from aegis_llm.bench.values import Machine, Model, Recorded, Sent, Settings
from aegis_llm.bench.verdicts import Compared
from aegis_llm.errors import ConfigError

SETTINGS = Settings(
    model="m:1b", levels=(4,), stress=4, rounds=5, each=2, baseline=8, cache=0, prefix=0,
    cold=False, pause_s=0,
)  # fmt: skip


def made(seed: int, slower: float = 1.0, noise: float = 0.1, settings: Settings = SETTINGS,
         errors: int = 0, version: str = "0.33.0", drifts: float | None = None
         ) -> Results:  # fmt: skip
    """Results of a server that takes `slower` times as long, with noise of each round and call."""
    random = Random(seed)
    recorded = Recorded(settings=settings, phases=phases_of(settings))
    recorded.machine = Machine(url="http://ollama:11434", ollama=version)
    recorded.model = Model(name=settings.model)
    at = 0.0
    for place, phase in enumerate(recorded.phases):
        for turn in range(settings.rounds):
            drift = random.gauss(1.0, noise / 4 if drifts is None else drifts)
            for n in range(phase.requests):
                long = slower * drift * (1 + n % 3) * max(0.3, random.gauss(1.0, noise))
                failed = "down: gone" if errors and n < errors else ""
                recorded.sent.append(
                    Sent(place, turn, n, at, 0.1 * long, long, long, 200, 60, long, 0.0,
                         0.1 * long, 0.9 * long, error=failed)
                )  # fmt: skip
            at += 10
    return Results(
        settings=settings,
        machine=recorded.machine,
        model=recorded.model,
        phases=recorded.phases,
        figures=(),
        knee=Knee(),
        requests=tuple(recorded.sent),
    )


def verdicts(found: Comparison) -> set[str]:
    return {one.verdict for one in found.figures}


def of(found: Comparison, phase: str, figure: str) -> Compared:
    return next(one for one in found.figures if (one.phase, one.figure) == (phase, figure))


def test_a_file_is_the_same_as_itself() -> None:
    one = made(1)
    found = compare(one, one)
    assert verdicts(found) <= {"within noise", "too few"}
    assert not found.regressed


def test_the_same_server_measured_again_is_within_noise_nearly_always() -> None:
    alarms = sum(compare(made(2 * n), made(2 * n + 1)).regressed for n in range(12))
    assert alarms <= 1


def test_a_machine_on_which_rounds_differ_by_a_tenth_gives_no_alarms() -> None:
    """Four rounds of seven phases: some phase looks steady by chance, and must not be believed."""
    busy = msgspec.structs.replace(SETTINGS, levels=(1, 2, 4, 8), stress=8, rounds=4)
    alarms = sum(
        compare(*(made(2 * n + k, settings=busy, drifts=0.1) for k in (0, 1))).regressed
        for n in range(30)
    )
    assert alarms <= 1


def test_what_is_slower_everywhere_is_found_though_no_phase_is_sure() -> None:
    wide = msgspec.structs.replace(SETTINGS, levels=(1, 2, 4, 8), stress=8)
    found = compare(made(1, settings=wide, noise=0.2), made(2, 1.25, settings=wide, noise=0.2))
    assert of(found, OVER_ALL, "answer, p50").verdict == "worse"
    assert of(found, "baseline", "answer, p50").verdict == "within noise"


def test_a_damaged_time_of_zero_is_no_crash() -> None:
    one = made(1)
    zero = [msgspec.structs.replace(each, ttft=0.0, latency=0.0) for each in one.requests]
    compare(one, msgspec.structs.replace(one, requests=tuple(zero)))
    compare(msgspec.structs.replace(one, requests=tuple(zero)), one)


@pytest.mark.parametrize(("slower", "verdict"), [(1.3, "worse"), (0.7, "better")])
def test_a_change_of_a_third_is_found(slower: float, verdict: str) -> None:
    found = compare(made(1), made(2, slower))
    assert of(found, "baseline", "answer, p50").verdict == verdict
    assert of(found, "baseline", "one answer").verdict == verdict
    assert found.regressed is (verdict == "worse")


def test_the_same_prompts_are_compared_with_themselves() -> None:
    exact = compare(made(1, noise=0.02), made(2, 1.2, noise=0.02))
    assert of(exact, "baseline", "answer, p50").paired
    assert of(exact, "baseline", "answer, p50").verdict == "worse"
    other = msgspec.structs.replace(SETTINGS, seed=9)
    assert not of(compare(made(1), made(2, settings=other)), "baseline", "answer, p50").paired


def test_a_change_below_the_threshold_is_noise_however_sure() -> None:
    found = compare(made(1, noise=0.0), made(1, 1.03, noise=0.0))
    assert of(found, "baseline", "answer, p50").verdict == "within noise"
    assert compare(made(1, noise=0.0), made(1, 1.03, noise=0.0), threshold=0.01).regressed


def test_a_quantile_of_too_few_requests_is_not_judged() -> None:
    found = compare(made(1), made(2, 3.0))
    assert of(found, "baseline", "answer, p99").verdict == "too few"


def test_fewer_than_four_rounds_are_not_judged() -> None:
    few = msgspec.structs.replace(SETTINGS, rounds=3)
    found = compare(made(1, settings=few), made(2, 3.0, settings=few))
    assert verdicts(found) == {"too few"}


def test_errors_are_a_regression_though_what_answered_is_as_fast() -> None:
    found = compare(made(1), made(1, errors=4))
    assert of(found, "baseline", "errors").verdict == "worse"
    assert found.regressed


def test_what_else_differs_is_said() -> None:
    before = msgspec.structs.replace(made(1), partial="stopped by Ctrl-C")
    found = compare(before, made(2, version="0.34.0"))
    assert "Ollama: 0.33.0 before, 0.34.0 after" in found.differences
    assert any("partial" in said for said in found.differences)


def test_a_results_file_is_read_as_it_was_written() -> None:
    one = made(1)
    text = encode(one)
    assert decode(text, "x") == one
    rows = [line for line in text.decode().splitlines() if line.startswith("  [")]
    assert len(rows) == len(one.requests)  # one line each, so that two files can be diffed


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no results file"),
        (b"{", "no results file"),
        (b'{"v": 1}', "no results file"),
        (b'{"v": 7, "kind": "aegis-llm bench"}', "version 7"),
        (b'{"v": 1, "kind": "aegis-llm bench"}', "damaged"),
        (b'{"v": 1, "x": ' + b"[" * 100_000, "no results file"),
    ],
)
def test_what_is_no_results_file_of_this_version_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decode(data, "before.json")
