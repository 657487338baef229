"""The live view reads what `aegis_llm.metrics` really shows: of this process and of another."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import httpx
import msgspec
import pytest

from aegis_llm.browsing import words
from aegis_llm.browsing.endpoint import NoFiguresError, endpoint, here
from aegis_llm.browsing.figures import Figures, figures_of, figures_of_snapshot, quantile
from aegis_llm.learning.ledger import Label
from aegis_llm.metrics import snapshot, start_http_server
from aegis_llm.metrics.registry import METRICS
from aegis_llm.metrics.snapshot import ModelQueue
from aegis_llm.values import Origin
from tests.metrics.kit import answering, ask, call


@pytest.fixture(autouse=True)
def _from_zero(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    METRICS.renew()
    monkeypatch.setattr(METRICS, "_caches", WeakSet())  # nor those of earlier tests
    monkeypatch.setattr(METRICS, "_queues", [])
    yield
    METRICS.renew()


def busy() -> Any:
    """Have something of everything counted; what is returned keeps the cache alive."""

    def fail() -> Any:
        raise ZeroDivisionError

    cache = answering()
    for _ in range(4):
        call(cache, ask())
    with suppress(ZeroDivisionError):
        cache.call(ask("other"), fail, lambda answer: [answer])
    METRICS.ended(Origin("miss", "veto_numbers", lookup_ms=3.0), "langchain", cache.service.hits)
    METRICS.ended(Origin("coalesced", lookup_ms=4000.0), "langchain", cache.service.hits)
    METRICS.ended(Origin("bypass", "tools_bound"), "", cache.service.hits)
    for seconds in (0.02, 0.02, 7.0, 1000.0):
        METRICS.waited(seconds)
    notebook = cache.service.learner.notebook
    notebook.add_label(Label("a" * 64, False, "check"))
    return cache


def test_what_is_read_over_http_is_what_the_snapshot_says(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = busy()
    queues = [
        ModelQueue("http://a:1", 'we"ird\\{},\nname', 3, 2, 4),
        ModelQueue("http://b:1", "m", 1, 1, None),
    ]
    monkeypatch.setattr(METRICS, "_queues", [lambda: queues])
    with start_http_server(0) as served:
        read = endpoint(f"http://127.0.0.1:{served.port}/metrics")()
    assert read is not None
    assert read == figures_of_snapshot(snapshot()) == here()
    assert read.outcomes == {"miss": 2, "hit_local": 3, "failed": 1, "coalesced": 1, "bypass": 1}
    assert (read.waiting, read.in_flight, read.slots) == (4, 3, 4)
    assert (read.vetoes, read.wrong_hits) == ({"numbers": 1}, 1)
    assert (read.saved_tokens, read.saved_s) == (90, 4.5)
    assert read.breaker_open == 0
    del cache


def test_the_formats_that_a_scraper_may_ask_for_say_the_same() -> None:
    cache = busy()
    with start_http_server(0) as served:
        url = f"http://127.0.0.1:{served.port}/metrics"
        told = [
            figures_of(httpx.get(url, headers={"Accept": accept}).text)
            for accept in ("*/*", "text/plain; version=0.0.4", "application/openmetrics-text")
        ]
    assert told[0] == told[1] == told[2] == figures_of_snapshot(snapshot())
    assert told[0].waiting is None  # no queue is not an empty one
    del cache


def test_another_process_is_read_while_it_serves() -> None:
    code = """
        import sys, threading
        from aegis_llm.metrics import start_http_server
        from tests.browsing.test_figures import busy
        kept = busy()
        served = start_http_server(0)
        print(served.port, flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        read = endpoint(f"http://127.0.0.1:{process.stdout.readline().strip()}/metrics")
        told = read()
        process.communicate("")
    with pytest.raises(NoFiguresError):
        read()
    assert (told.requests, told.hits) == (8, 4)
    assert here() is None  # nothing of it was counted in this process


def test_latency_is_shown_without_who_waited_for_a_twin() -> None:
    cache = busy()
    shown = dict(words.latency(figures_of_snapshot(snapshot())))
    assert set(shown) == {
        "look-up, half within", "look-up, 95 % within", "wait in the queue, 95 % within",
    }  # fmt: skip
    assert words.UNKNOWN not in shown.values()
    assert shown["look-up, 95 % within"].endswith("ms")  # not the four seconds
    assert shown["wait in the queue, 95 % within"] == "300.0 s"
    assert dict(words.traffic(figures_of_snapshot(snapshot())))["without an answer"] == "1"
    del cache


def test_a_process_that_began_anew_counts_whole() -> None:
    """Fewer of one outcome, or none: the counts began at zero."""
    before = Figures(outcomes={"miss": 5, "hit_local": 2}, lookup={1.0: 7}, saved_s=9.0)
    after = Figures(outcomes={"miss": 6}, lookup={1.0: 6}, saved_s=1.0)
    assert after.since(before) == after
    assert quantile(after.since(before).lookup, 0.5) is not None


@pytest.mark.parametrize("part", ["redis_open", "embedder_open"])
def test_a_part_that_is_left_alone_is_seen_here_as_elsewhere(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = busy()
    state = msgspec.structs.replace(cache.service.state(), **{part: True})
    monkeypatch.setattr(cache.service, "state", lambda: state)
    with start_http_server(0) as served:
        read = endpoint(f"http://127.0.0.1:{served.port}/metrics")()
    assert read is not None
    assert read.breaker_open == figures_of_snapshot(snapshot()).breaker_open == 1
