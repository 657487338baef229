"""Streams that nobody reads hold no slot; read by threads here, by tasks in the file beside."""

from __future__ import annotations

import gc
import random
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from aegis_llm.scheduler import read_ahead
from aegis_llm.scheduler.dispatch import Dispatcher, Hold
from aegis_llm.scheduler.read_ahead import ReadAhead
from tests.races.kit import done, start, until
from tests.races.queue_kit import REPLY, Counter, flying, job, passes, waiting

pytestmark = pytest.mark.usefixtures("restless")


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a reader to pause as soon as it does not ask."""
    monkeypatch.setattr(read_ahead, "PAUSE_S", 0.001)


class Source:
    """A server's stream of numbers, whose chunks wait until they are allowed."""

    def __init__(self, count: int = 5, allowed: int = 1_000_000, error: Any = None) -> None:
        self.count, self.allowed, self.error = count, allowed, error
        self.pulls = self.closed = 0
        self.pulling = self.cut = False
        self.seen: list[Any] = []

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.pulling = True
                until(lambda number=number: number < self.allowed or self.cut)
                self.pulling = False
                if self.cut:
                    raise ConnectionResetError
                self.pulls += 1
                self.seen.append(tenant.get())
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed += 1


tenant: ContextVar[str] = ContextVar("tenant", default="")


def over(hold: Hold, last: int | None) -> None:
    hold.end(None if last is None else REPLY)


def stream(queue: Dispatcher, source: Source) -> Iterator[int]:
    """Read a source as the clients do."""
    hold = queue.enter(job())
    parts = iter(source)
    begun = [next(parts)]

    def cut(_: Any) -> None:
        source.cut = True

    ahead = ReadAhead(begun, parts, partial(over, hold), cut)
    hold.on_wait(ahead.read_on)
    try:
        yield from ahead
    finally:
        ahead.close()


def test_an_unread_stream_lets_the_others_through(counter: Counter) -> None:
    queue, source = counter.queue(), Source()
    chunks = stream(queue, source)
    assert next(chunks) == 0
    passes(queue)
    assert (source.pulls, source.closed) == (5, 1)
    assert list(chunks) == [1, 2, 3, 4]


def test_a_call_in_the_loop_that_reads_the_stream(counter: Counter) -> None:
    queue, read = counter.queue(), []
    for number in stream(queue, Source(20)):
        read.append(number)
        passes(queue)
        for inner in stream(queue, Source(2)):
            assert inner in (0, 1)
            if number % 2:
                passes(queue)
    assert read == list(range(20))


def test_a_stream_is_read_ahead_that_began_while_others_waited(counter: Counter) -> None:
    queue = counter.queue()
    hold = queue.enter(job())
    chunks = stream(queue, Source())
    first = start(lambda: next(chunks))
    until(lambda: waiting(queue) == 1)
    second = start(partial(passes, queue))
    until(lambda: waiting(queue) == 2)
    hold.end()
    assert done([first]) == [0]
    done([second])
    assert list(chunks) == [1, 2, 3, 4]


def test_a_reader_that_goes_on_while_another_thread_reads_waits_for_it(counter: Counter) -> None:
    queue, source = counter.queue(), Source(allowed=2)
    chunks: Any = stream(queue, source)
    assert next(chunks) == 0
    ahead = chunks.gi_yieldfrom
    thread = start(partial(passes, queue))
    until(lambda: source.pulling and source.pulls == 2)
    reader = start(lambda: list(chunks))
    until(lambda: ahead._changed._waiters)
    source.allowed = 5
    assert done([reader]) == [[1, 2, 3, 4]]
    done([thread])


def test_many_unread_streams(counter: Counter) -> None:
    queue = counter.queue(8)
    sources = [Source(50) for _ in range(8)]
    streams = [stream(queue, source) for source in sources]
    assert [next(one) for one in streams] == [0] * 8
    done([start(partial(passes, queue)) for _ in range(24)])
    assert [list(one) for one in streams] == [list(range(1, 50))] * 8


def test_readers_that_pause_now_and_then_get_each_chunk_once(counter: Counter) -> None:
    queue = counter.queue(2)

    def read(seed: int) -> list[int]:
        turns, read = random.Random(seed), []
        for number in stream(queue, Source(60)):
            read.append(number)
            if turns.random() < 0.2:
                time.sleep(turns.random() * 0.004)
        return read

    readers = [start(partial(read, seed)) for seed in range(6)]
    callers = [start(lambda: [passes(queue) for _ in range(20)]) for _ in range(4)]
    assert done(readers) == [list(range(60))] * 6
    done(callers)


def test_an_error_comes_after_the_chunks_before_it(counter: Counter) -> None:
    queue, error = counter.queue(), ZeroDivisionError("in the midst")
    chunks = stream(queue, Source(3, error=error))
    assert next(chunks) == 0
    passes(queue)
    assert [next(chunks), next(chunks)] == [1, 2]
    with pytest.raises(ZeroDivisionError, match="in the midst"):
        next(chunks)
    assert list(chunks) == []
    assert queue.busy == 0


@pytest.mark.parametrize("read", [0, 1, 2])
def test_a_stream_that_is_closed_early_stops_its_server(counter: Counter, read: int) -> None:
    queue, source = counter.queue(), Source()
    chunks = stream(queue, source)
    for _ in range(read):
        next(chunks)
    chunks.close()
    assert source.closed == bool(read)
    assert queue.busy == 0
    assert source.pulls == read


def test_a_stream_that_is_closed_while_another_thread_reads_it_stops_at_once(
    counter: Counter,
) -> None:
    """The server may say nothing for a long time: a tool call comes as a whole."""
    queue, source = counter.queue(), Source(allowed=2)
    chunks = stream(queue, source)
    next(chunks)
    thread = start(partial(passes, queue))
    until(lambda: source.pulls == 2 and source.pulling)
    chunks.close()
    done([thread])
    assert (source.closed, source.pulls) == (1, 2)


def test_a_stream_without_a_way_to_be_cut_ends_with_its_next_chunk(counter: Counter) -> None:
    queue, source = counter.queue(), Source(allowed=1)
    hold, parts = queue.enter(job()), iter(source)
    ahead = ReadAhead([next(parts)], parts, lambda _: hold.end(REPLY))
    hold.on_wait(ahead.read_on)
    thread = start(partial(passes, queue))
    until(lambda: source.pulling)
    ahead.close()
    ahead.close()
    assert source.closed == 0
    source.allowed = 2
    done([thread])
    until(lambda: source.closed)
    assert source.pulls == 2


def test_a_stream_that_is_forgotten_stops_its_server(counter: Counter) -> None:
    queue, source = counter.queue(), Source(allowed=2)
    chunks = stream(queue, source)
    next(chunks)
    thread = start(partial(passes, queue))
    until(lambda: source.pulling and source.pulls == 2)
    del chunks
    gc.collect()
    done([thread])
    until(lambda: source.closed == 1)


def test_beyond_the_bound_the_slot_is_given_up(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "MOST_CHUNKS", 3)
    queue, sources = counter.queue(), [Source(10) for _ in range(3)]
    streams = [stream(queue, source) for source in sources]
    for one in streams:
        assert next(one) == 0
        passes(queue)
    assert [source.pulls for source in sources] == [4, 4, 4]
    assert queue.busy == 0
    assert [list(one) for one in streams] == [list(range(1, 10))] * 3


def test_a_server_that_says_nothing_after_the_bound_blocks_nobody(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "MOST_CHUNKS", 2)
    queue, source = counter.queue(), Source(5, allowed=3)
    chunks = stream(queue, source)
    next(chunks)
    passes(queue)
    assert (next(chunks), next(chunks)) == (1, 2)
    passes(queue)
    source.allowed = 5
    assert list(chunks) == [3, 4]


def test_what_is_read_ahead_is_read_in_the_readers_context(counter: Counter) -> None:
    """Not in that of the caller who waits, who may be somebody else's user."""
    queue, source = counter.queue(), Source()

    def read() -> Iterator[int]:
        tenant.set("reader")
        chunks = stream(queue, source)
        next(chunks)
        return chunks

    def call() -> None:
        tenant.set("caller")
        passes(queue)

    chunks = done([start(read)])[0]
    done([start(call)])
    assert source.seen == ["reader"] * 5
    list(chunks)


def test_where_no_thread_is_to_be_had_the_slot_is_given_up(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """As at the end of the interpreter."""

    def submit(*_: Any) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(read_ahead._pool, "submit", submit)
    queue = counter.queue()
    chunks = stream(queue, Source())
    next(chunks)
    passes(queue)
    assert list(chunks) == [1, 2, 3, 4]
    assert caplog.records == []


def test_streams_left_at_any_moment_lose_no_slot(counter: Counter) -> None:
    queue, stop = counter.queue(2), threading.Event()
    sources: list[Source] = []

    def read(seed: int) -> None:
        turns = random.Random(seed)
        for _ in range(40):
            source = Source(turns.randrange(1, 8))
            sources.append(source)
            chunks = stream(queue, source)
            for _ in range(turns.randrange(8)):
                if next(chunks, None) is None:
                    break
            if turns.random() < 0.5:
                chunks.close()
            del chunks

    def call() -> None:
        while not stop.is_set():
            passes(queue)

    callers = [start(call) for _ in range(2)]
    done([start(partial(read, seed)) for seed in range(6)])
    stop.set()
    done(callers)
    until(lambda: all(source.closed or not source.pulls for source in sources))
    assert flying(queue) == 0
