"""What is counted: once for each request, whoever asks, and never at the cost of an answer."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis_llm import NotCachedError, QueueFullError, QueueTimeoutError, cache_control, observe
from aegis_llm.errors import StoreTrouble
from aegis_llm.learning.ledger import Label
from aegis_llm.metrics import metrics_off, snapshot
from aegis_llm.metrics.families import families
from aegis_llm.metrics.reasons import GATES, REASONS
from aegis_llm.metrics.registry import METRICS
from aegis_llm.metrics.tally import Cell
from aegis_llm.scheduling import note_trip
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.values import Answer, Origin
from tests.metrics.kit import ANSWER, answering, ask, call

ROOT = Path(__file__).resolve().parents[2]
SECRET = "Has ACME Ltd. been paid?"


def test_a_request_is_counted_by_outcome_reason_and_framework() -> None:
    cache = answering()
    assert [call(cache, ask()), call(cache, ask()), call(cache, ask(framework="llama_index"))] == [
        "miss", "hit_local", "hit_local",
    ]  # fmt: skip
    told = snapshot()
    assert [(r.outcome, r.reason, r.framework, r.count) for r in told.requests] == [
        ("hit_local", "", "langchain", 1),
        ("hit_local", "", "llama_index", 1),
        ("miss", "no_entry", "langchain", 1),
    ]
    assert {tier: known.count for tier, known in told.lookups.items()} == {"local": 2, "none": 1}
    assert (told.saved_tokens, told.saved_seconds) == (60, 3.0)
    assert (told.hits, told.total, told.hit_rate) == (2, 3, pytest.approx(2 / 3))


async def test_threads_and_tasks_are_counted_exactly() -> None:
    """64 threads, and as many tasks, all at once; `observe` sees the same number."""
    cache = answering()
    call(cache, ask("warm"))
    METRICS.renew()
    each, start = 60, threading.Barrier(64)

    def work(number: int) -> None:
        start.wait()
        for turn in range(each):
            call(cache, ask("warm" if turn % 2 else f"{number} {turn}"))
            METRICS.waited(0.5)
            METRICS.checked("check", right=bool(turn % 3))

    async def task(number: int) -> None:
        for turn in range(each):
            lookup, _ = await cache.acall(
                ask("warm" if turn % 2 else f"task {number} {turn}"), answer, lambda a: [a]
            )
            assert lookup.origin.outcome in ("hit_local", "miss")

    async def answer() -> Answer:
        await asyncio.sleep(0)
        return ANSWER

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    with observe() as seen:
        await asyncio.gather(*(task(number) for number in range(64)))
    while any(thread.is_alive() for thread in threads):
        assert snapshot().total <= 2 * 64 * each  # reading meanwhile disturbs nobody
        await asyncio.sleep(0.001)
    told = snapshot()
    half = 64 * each
    assert len(seen) == half
    assert seen.saved_s == 1.5 * half / 2
    assert told.outcomes == {"hit_local": half, "miss": half}
    assert told.saved_tokens == 30 * half
    assert told.queue_wait.count == half
    assert told.queue_wait.total == pytest.approx(half / 2)
    assert told.wrong_hits == {"check": 64 * each // 3}
    assert told.right_hits == {"check": 64 * (each - each // 3)}


def test_what_threads_counted_stays_when_they_have_ended() -> None:
    for _ in range(300):
        thread = threading.Thread(target=METRICS.waited, args=(1.0,))
        thread.start()
        thread.join()
    assert snapshot().queue_wait.count == 300
    assert len(METRICS._cells) < 150  # those of ended threads were added up


def test_a_reason_that_a_user_made_is_no_label() -> None:
    """A router may return any text as its reason."""
    METRICS.ended(Origin("bypass", SECRET), SECRET, answering().service.hits)
    METRICS.ended(Origin("miss", f"veto_{SECRET}"), "", answering().service.hits)
    METRICS.ended(Origin("miss", f"refresh; not stored: {SECRET}"), "", answering().service.hits)
    METRICS.unstored(SECRET)
    told = snapshot()
    assert {r.reason for r in told.requests} == {"other", "veto_other", "refresh"}
    assert {r.framework for r in told.requests} == {"none"}
    assert told.not_stored == {"other": 1}
    assert SECRET not in str(told)


def test_no_metric_holds_a_prompt_a_tenant_or_a_user() -> None:
    cache = answering()
    with cache_control(tenant="tenant-7", user="user-9", tags=["tag-3"], documents=["doc-1"]):
        for _ in range(2):
            call(cache, ask(SECRET))
    shown = str(list(families(snapshot())))
    for secret in (SECRET, "ACME", "tenant-7", "user-9", "tag-3", "doc-1", "Because."):
        assert secret not in shown


def test_every_reason_that_is_documented_is_a_label() -> None:
    told = set()
    for line in (ROOT / "docs/outcomes.md").read_text().splitlines():
        cell = line.split("|")[1] if line.startswith("| ") else ""
        if "explain()" not in cell:
            told |= {word for word in cell.split("`")[1::2] if word.replace("_", "").isalpha()}
    told -= {"judge", "log", "reason", "veto_"}
    assert told - REASONS == set()
    of_metrics = set((ROOT / "docs/metrics.md").read_text().split("`")[1::2])
    inner = {"foreign_value", "no_embedder"}  # turned into another one before anybody sees them
    assert REASONS - told - of_metrics == inner


def test_every_gate_is_a_label() -> None:
    source = "".join(
        path.read_text()
        for folder in ("gates", "matching")
        for path in (ROOT / "aegis_llm" / folder).rglob("*.py")
    )
    words = source.replace('"', " ").replace("'", " ").split()
    gates = {word[5:] for word in words if word.startswith("veto_") and word[5:].isidentifier()}
    assert "numbers" in gates
    assert gates <= GATES


def test_a_veto_is_counted_by_its_gate_and_what_is_not_stored_by_its_reason() -> None:
    book = answering().service.hits
    METRICS.ended(Origin("miss", "veto_numbers"), "", book)
    METRICS.ended(Origin("miss", "veto_numbers; not stored: empty_answer"), "", book)
    METRICS.ended(Origin("miss", "below_score"), "", book)
    answering().call(ask(), lambda: Answer(""), lambda answer: [answer])
    told = snapshot()
    assert told.vetoes == {"numbers": 2}
    assert told.not_stored == {"empty_answer": 1}


def test_a_request_without_an_answer_is_counted_as_failed() -> None:
    cache = answering()

    def fail() -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.call(ask(), fail, lambda answer: [answer])
    with pytest.raises(NotCachedError), cache_control(only_if_cached=True):
        cache.service.open(ask())
    chunks = cache.stream(
        cache.service.open(ask(), stream="x"), lambda: iter("abc"), lambda chunks: []
    )
    assert next(chunks) == "a"
    chunks.close()
    for error in (QueueFullError("full", 1, 1.0), QueueTimeoutError("late"), KeyboardInterrupt()):
        cache.service.open(ask()).failed(error)
    told = {r.reason: r.count for r in snapshot().requests if r.outcome == "failed"}
    assert told == {
        "model_error": 1, "not_cached": 1, "given_up": 1, "queue_full": 1, "queue_timeout": 1,
        "cancelled": 1,
    }  # fmt: skip


def test_a_question_that_is_only_explained_is_not_counted() -> None:
    cache = answering()
    call(cache, ask())
    cache.service.explain(ask())
    assert snapshot().total == 1


@pytest.mark.usefixtures("alone")
def test_wrong_hits_are_counted_by_who_found_them() -> None:
    cache = answering()
    call(cache, ask())
    lookup, _ = cache.call(ask(), lambda: ANSWER, lambda answer: [answer])
    assert lookup.origin.reject()
    assert not lookup.origin.reject()  # it is gone: no second wrong hit
    notebook = cache.service.learner.notebook
    for source, right in (("shadow", False), ("check", False), ("check", True)):
        notebook.add_label(Label("a" * 64, right, source))  # type: ignore[arg-type]
    told = snapshot()
    assert told.wrong_hits == {"check": 1, "reject": 1, "shadow": 1}
    assert told.right_hits == {"check": 1}


def test_a_wait_in_the_queue_is_counted() -> None:
    note_trip("s", 0.02)
    note_trip("s", 1000.0)
    waits = snapshot().queue_wait
    assert (waits.count, waits.counts[3], waits.counts[-1]) == (2, 1, 1)


def test_metrics_that_break_cost_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = answering()

    def broken(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("aegis_llm.metrics.tally.Cell.row", broken)
    monkeypatch.setattr("aegis_llm.metrics.tally.Cell.waited", broken)
    monkeypatch.setattr(METRICS, "listeners", (broken,))
    assert [call(cache, ask()), call(cache, ask())] == ["miss", "hit_local"]
    note_trip("s", 1.0)
    assert [record.message for record in caplog.records] == [
        "counting metrics failed; requests are served all the same",
        "listening to metrics failed; requests are served all the same",
    ]


@pytest.fixture
def _hasty() -> Iterator[None]:
    """Threads take turns after each step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("alone", "_hasty")
def test_caches_that_come_and_go_disturb_no_reader() -> None:
    class Passing:
        def state(self) -> Any:
            return None

    over = threading.Event()

    def make() -> None:
        kept: list[Any] = []
        while not over.is_set():
            kept.append(Passing())
            METRICS.watch(kept[-1])
            del kept[:-100]

    makers = [threading.Thread(target=make) for _ in range(3)]
    for maker in makers:
        maker.start()
    try:
        for _ in range(2000):
            snapshot()
    finally:
        over.set()
        for maker in makers:
            maker.join()


def test_a_part_that_cannot_be_read_leaves_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = answering()
    call(cache, ask())
    monkeypatch.setattr(cache.service, "state", lambda: 1 / 0)
    assert snapshot().total == 1
    assert "asking for metrics failed" in caplog.text


def test_nothing_is_counted_while_the_metrics_are_off() -> None:
    cache = answering()
    with metrics_off():
        call(cache, ask())
        METRICS.waited(1.0)
    assert snapshot().total == snapshot().queue_wait.count == 0
    call(cache, ask())
    assert snapshot().total == 1


def test_a_finalizer_that_counts_in_the_midst_of_counting_loses_nothing() -> None:
    """From Python 3.12 on garbage may be collected after any call, so here after each."""
    cell = Cell()

    class Collecting(dict[Any, int]):
        left = 3

        def _collect(self) -> None:
            if self.left:
                self.left -= 1
                cell.add("kind", "label")

        def get(self, key: Any, otherwise: Any = None) -> Any:
            found = super().get(key, otherwise)
            self._collect()
            return found

        def setdefault(self, key: Any, otherwise: Any = None) -> Any:
            found = super().setdefault(key, otherwise)
            self._collect()
            return found

    cell.counts = Collecting()
    cell.add("kind", "label")
    assert cell.counts == {("kind", "label"): 4}


def test_blocks_without_counting_may_overlap() -> None:
    """As in two threads: the first to begin ends first."""
    one, other = metrics_off(), metrics_off()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    METRICS.waited(1.0)
    other.__exit__(None, None, None)
    METRICS.waited(1.0)
    assert snapshot().queue_wait.count == 1


def test_a_forked_child_begins_at_zero() -> None:
    cache = answering()
    call(cache, ask())
    child = os.fork()
    if not child:
        os._exit(snapshot().total)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert snapshot().total == 1


@pytest.mark.usefixtures("alone")
def test_a_cache_is_shown_with_its_breaker_and_sizes() -> None:
    class Down(MemoryStore):
        left_alone = True

        def get(self, key: str) -> bytes | None:
            raise StoreTrouble("redis_breaker_open")

    cache = answering(Down(), namespace="shop", redis_url="redis://:secret@localhost")
    call(cache, ask())
    (state,) = [state for state in snapshot().caches if state.namespace == "shop"]
    assert (state.redis_open, state.embedder_open, state.local_entries) == (True, False, 1)
    assert "secret" not in state.server
    shown = {family.name: family.values for family in families(snapshot())}
    assert shown["aegis_breaker_open"] == ((("redis",), 1.0), (("embedder",), 0.0))
