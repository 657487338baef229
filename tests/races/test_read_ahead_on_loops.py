"""Streams that nobody reads hold no slot; read by tasks here, by threads in the file beside."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import pytest

from aegis_llm.scheduler import read_ahead
from aegis_llm.scheduler.dispatch import Dispatcher, Hold
from aegis_llm.scheduler.read_ahead import AsyncReadAhead
from tests.races.kit import auntil, cancelled, done, run, start
from tests.races.queue_kit import REPLY, Counter, apasses, flying, job, passes, waiting

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
        self.pulling = False
        self.seen: list[str] = []

    async def parts(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                self.pulling = True
                await auntil(lambda number=number: number < self.allowed)
                self.pulling = False
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


async def stream(queue: Dispatcher, source: Source) -> AsyncGenerator[int, None]:
    """Read a source as the clients do."""
    hold = await queue.aenter(job())
    parts = source.parts()
    ahead = AsyncReadAhead([await anext(parts)], parts, partial(over, hold))
    hold.on_wait(ahead.read_on)
    try:
        async for part in ahead:
            yield part
    finally:
        await ahead.aclose()


async def rest(chunks: AsyncIterator[int]) -> list[int]:
    """Read a stream to its end."""
    return [number async for number in chunks]


@pytest.mark.parametrize("way", ["a task", "a thread", "another loop"])
def test_an_unread_stream_lets_the_others_through(counter: Counter, way: str) -> None:
    queue, source = counter.queue(), Source()

    async def scenario() -> None:
        chunks = stream(queue, source)
        assert await anext(chunks) == 0
        if way == "a task":
            await apasses(queue)
        elif way == "a thread":
            await asyncio.to_thread(passes, queue)
        else:
            await asyncio.to_thread(run, partial(apasses, queue))
        assert (source.pulls, source.closed) == (5, 1)
        assert await rest(chunks) == [1, 2, 3, 4]

    run(scenario)


def test_a_call_in_the_loop_that_reads_the_stream(counter: Counter) -> None:
    queue, read = counter.queue(), []

    async def scenario() -> None:
        async for number in stream(queue, Source(20)):
            read.append(number)
            await apasses(queue)
            passes(queue)  # blocks the loop's thread
            async for inner in stream(queue, Source(2)):
                assert inner in (0, 1)
                await apasses(queue)

    run(scenario)
    assert read == list(range(20))


def test_readers_that_pause_now_and_then_get_each_chunk_once(counter: Counter) -> None:
    queue = counter.queue(2)

    async def read(seed: int) -> list[int]:
        turns, read = random.Random(seed), []
        async for number in stream(queue, Source(60)):
            read.append(number)
            if turns.random() < 0.2:
                await asyncio.sleep(turns.random() * 0.004)
        return read

    async def call() -> None:
        for _ in range(20):
            await apasses(queue)

    async def scenario() -> list[list[int]]:
        callers = asyncio.gather(*(call() for _ in range(4)))
        found = await asyncio.gather(*(read(seed) for seed in range(6)))
        await callers
        return found

    for found in done([start(partial(run, scenario)) for _ in range(2)]):
        assert found == [list(range(60))] * 6


def test_many_unread_streams(counter: Counter) -> None:
    queue = counter.queue(8)

    async def scenario() -> None:
        streams = [stream(queue, Source(50)) for _ in range(8)]
        assert [await anext(one) for one in streams] == [0] * 8
        await asyncio.gather(*(apasses(queue) for _ in range(24)))
        assert [await rest(one) for one in streams] == [list(range(1, 50))] * 8

    run(scenario)


def test_an_error_comes_after_the_chunks_before_it(counter: Counter) -> None:
    queue = counter.queue()

    async def scenario() -> None:
        chunks = stream(queue, Source(3, error=ZeroDivisionError("in the midst")))
        assert await anext(chunks) == 0
        await apasses(queue)
        assert [await anext(chunks), await anext(chunks)] == [1, 2]
        with pytest.raises(ZeroDivisionError, match="in the midst"):
            await anext(chunks)
        assert await rest(chunks) == []
        assert queue.busy == 0

    run(scenario)


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("read", [1, 2])
def test_a_stream_that_is_closed_early_stops_its_server(
    counter: Counter, read: int, others: bool
) -> None:
    queue, source = counter.queue(), Source(allowed=2)

    async def scenario() -> None:
        chunks = stream(queue, source)
        for _ in range(read):
            await anext(chunks)
        waits = asyncio.create_task(apasses(queue)) if others else None
        if others:
            await auntil(lambda: source.pulling and source.pulls == 2)
        await chunks.aclose()
        assert source.closed == 1
        if waits is not None:
            await waits
        assert queue.busy == 0

    run(scenario)


@pytest.mark.parametrize("pulled_by", ["the reader", "another task"])
def test_a_reader_that_is_cancelled_stops_its_server(counter: Counter, pulled_by: str) -> None:
    queue, source = counter.queue(), Source(allowed=2)

    async def scenario() -> None:
        chunks, waits = stream(queue, source), None
        assert await anext(chunks) == 0
        if pulled_by == "another task":
            waits = asyncio.create_task(apasses(queue))
            await auntil(lambda: source.pulling and source.pulls == 2)

        async def read() -> None:
            nonlocal last
            async with aclosing(chunks):
                async for number in chunks:
                    last = number

        last = 0
        reader = asyncio.create_task(read())
        await auntil(lambda: source.pulling and last == 1)
        await cancelled(reader)
        assert source.closed == 1
        if waits is not None:
            await waits
        assert queue.busy == 0

    run(scenario)


def test_a_reader_that_is_cancelled_while_it_leaves_still_stops_its_server(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, source = counter.queue(), Source()
    monkeypatch.setattr(read_ahead, "PAUSE_S", 30.0)  # the helper sleeps

    async def scenario() -> None:
        chunks = stream(queue, source)
        assert await anext(chunks) == 0
        waits = asyncio.create_task(apasses(queue))
        await auntil(lambda: waiting(queue) == 1)
        await asyncio.sleep(0)
        leaving = asyncio.create_task(chunks.aclose())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        assert source.closed == 1
        await waits

    run(scenario)


def test_a_stream_that_was_cut_off_does_not_look_whole(counter: Counter) -> None:
    """Whoever cancels all tasks of a loop cancels the one that reads ahead, too."""
    queue, source = counter.queue(), Source(allowed=2)

    async def scenario() -> None:
        chunks = stream(queue, source)
        assert await anext(chunks) == 0
        mine = asyncio.all_tasks()
        waits = asyncio.create_task(apasses(queue))
        await auntil(lambda: source.pulling and source.pulls == 2)
        (helper,) = asyncio.all_tasks() - mine - {waits}
        await cancelled(helper)
        await waits
        assert await anext(chunks) == 1
        with pytest.raises(RuntimeError, match="closed"):
            await anext(chunks)
        assert source.closed == 1

    run(scenario)


def test_beyond_the_bound_the_slot_is_given_up(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "MOST_CHUNKS", 3)
    queue, sources = counter.queue(), [Source(10) for _ in range(3)]

    async def scenario() -> None:
        streams = [stream(queue, source) for source in sources]
        for one in streams:
            assert await anext(one) == 0
            await apasses(queue)
        assert [source.pulls for source in sources] == [4, 4, 4]
        assert queue.busy == 0
        assert [await rest(one) for one in streams] == [list(range(1, 10))] * 3

    run(scenario)


def test_what_is_read_ahead_is_read_in_the_readers_context(counter: Counter) -> None:
    queue, source = counter.queue(), Source()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        around = copy_context()
        around.run(tenant.set, "reader")
        chunks = stream(queue, source)
        await loop.create_task(anext(chunks), context=around)  # type: ignore[arg-type]

        async def call() -> None:
            tenant.set("caller")
            await apasses(queue)

        await loop.create_task(call())
        assert source.seen == ["reader"] * 5
        await rest(chunks)

    run(scenario)


def test_a_stream_whose_loop_has_ended_gives_its_slot_up_at_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, source = counter.queue(), Source()
    monkeypatch.setattr(queue, "_tend", lambda _: None)  # nobody looks around
    loop = asyncio.new_event_loop()
    chunks = stream(queue, source)
    assert loop.run_until_complete(anext(chunks)) == 0  # type: ignore[arg-type]
    loop.close()
    assert flying(queue) == 1
    passes(queue)
    with pytest.raises(StopIteration):
        chunks.aclose().send(None)


def test_streams_left_at_any_moment_lose_no_slot(counter: Counter) -> None:
    queue = counter.queue(2)
    sources: list[Source] = []

    async def read(seed: int) -> None:
        turns = random.Random(seed)
        for _ in range(30):
            source = Source(turns.randrange(1, 8))
            sources.append(source)

            async def part(source: Source = source) -> None:
                async with aclosing(stream(queue, source)) as chunks:
                    for _ in range(turns.randrange(8)):
                        await anext(chunks, None)

            task = asyncio.create_task(part())
            for _ in range(turns.randrange(20)):
                await asyncio.sleep(0)
            if turns.random() < 0.5:
                task.cancel()
            await asyncio.wait([task])

    async def scenario() -> None:
        readers = asyncio.gather(*(read(seed) for seed in range(6)))
        while not readers.done():
            await apasses(queue)
            await asyncio.sleep(0)

    run(scenario)
    assert all(source.closed or not source.pulls for source in sources)
