"""Identical streamed requests of tasks: one upstream, read ahead by a task of its own."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from tests.races.kit import (
    CHUNKS,
    END,
    PATIENCE,
    TEXT,
    Bench,
    Model,
    ModelError,
    answers_of_chunks,
    asked,
    auntil,
    cancelled,
    done,
    run,
    start,
    until,
)

MANY = 64


@pytest.fixture
def model() -> Model:
    """A model that streams."""
    return Model(usual=CHUNKS)


async def in_task(work: Any) -> Any:
    """Await in a task of its own, whose context is not that of the leader's code."""
    return await asyncio.create_task(work)


async def opened(bench: Bench, model: Model) -> AsyncGenerator[str, None]:
    """Return the chunks of a streamed request, of which the first was read."""
    chunks: Any = bench.achunks(model)
    assert await in_task(anext(chunks)) == "a"
    return chunks  # type: ignore[no-any-return]


def test_many_tasks_make_one_call(bench: Bench, model: Model) -> None:
    async def scenario() -> list[str]:
        tasks = [asyncio.create_task(bench.aread(model)) for _ in range(MANY)]
        await auntil(lambda: bench.readers == MANY)
        model.gate.set()
        return await asyncio.gather(*tasks)

    assert run(scenario) == [TEXT] * MANY
    assert (model.calls, model.pulls, model.closed) == (1, len(CHUNKS), 1)
    assert bench.call(model) == ("hit_local", TEXT)


def test_threads_and_two_loops_make_one_call_each(bench: Bench, model: Model) -> None:
    async def scenario() -> list[str]:
        return await asyncio.gather(*[bench.aread(model) for _ in range(16)])

    loops = [start(lambda: run(scenario)) for _ in range(2)]
    threads = [start(lambda: bench.read(model)) for _ in range(32)]
    until(lambda: bench.readers == 64)
    assert model.calls == 3
    model.gate.set()
    assert done(loops) == [[TEXT] * 16] * 2
    assert done(threads) == [TEXT] * 32


def test_a_leader_that_pauses_stops_nobody_and_does_not_hold_the_model(
    bench: Bench, model: Model
) -> None:
    async def scenario() -> None:
        paused = await opened(bench, model)
        model.gate.set()
        await auntil(lambda: model.closed == 1)  # read to its end, though nobody asks
        assert await bench.aread(model) == TEXT
        assert "".join([chunk async for chunk in paused]) == "bcd."

    run(scenario)
    assert model.calls == 1


@pytest.mark.parametrize("leaver", [0, 1, 2])
@pytest.mark.parametrize("how", ["close", "cancel"])
def test_one_who_leaves_or_is_cancelled_stops_nobody(
    bench: Bench, model: Model, leaver: int, how: str
) -> None:
    async def leave_after_one() -> None:
        chunks: Any = bench.achunks(model)
        await anext(chunks)
        await chunks.aclose()

    async def scenario() -> list[str]:
        works = [bench.aread(model) for _ in range(3)]
        if how == "close":
            works[leaver].close()
            works[leaver] = leave_after_one()  # type: ignore[call-overload]
        tasks = [asyncio.create_task(work) for work in works]
        await auntil(lambda: bench.readers == (2 if how == "close" else 3) and model.pulls)
        gone = tasks.pop(leaver)
        if how == "cancel":
            await cancelled(gone)
        else:
            await gone
        assert model.closed == 0
        model.gate.set()
        return await asyncio.gather(*tasks)

    assert run(scenario) == [TEXT] * 2
    assert (model.calls, model.closed) == (1, 1)
    assert bench.call(model)[0] == "hit_local"


def test_the_last_who_leaves_stops_the_model_once(bench: Bench, model: Model) -> None:
    async def scenario() -> None:
        readers = [await opened(bench, model) for _ in range(3)]
        for nth, reader in enumerate(readers):
            assert model.closed == 0, nth
            await reader.aclose()
        assert (model.calls, model.pulls, model.closed) == (1, 1, 1)
        assert bench.flights == []
        model.gate.set()
        assert await bench.aread(model) == TEXT

    run(scenario)
    assert model.calls == 2


def test_who_leaves_after_the_last_chunk_keeps_the_answer(bench: Bench) -> None:
    """The model has said that it is done, and has not yet closed the stream."""
    model = Model(usual=(END, "never"))

    async def scenario() -> None:
        chunks: Any = bench.achunks(model)
        assert await anext(chunks) == END
        await chunks.aclose()

    run(scenario)
    assert model.closed == 1
    assert bench.call(model) == ("hit_local", END)


def test_all_readers_cancelled_in_one_turn_stop_the_model_once(bench: Bench, model: Model) -> None:
    async def scenario() -> None:
        tasks = [asyncio.create_task(bench.aread(model)) for _ in range(8)]
        await auntil(lambda: bench.readers == 8)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=PATIENCE)
        assert all(task.cancelled() for task in tasks)

    run(scenario)
    assert (model.calls, model.closed) == (1, 1)


def test_a_cancel_while_the_model_is_being_stopped_is_not_swallowed(bench: Bench) -> None:
    stopping, stopped = asyncio.Event(), asyncio.Event()

    async def upstream() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            stopping.set()
            await stopped.wait()

    async def one_chunk() -> str:
        lookup = await bench.service.aopen(asked(), stream="test")
        chunks = bench.answering.astream(lookup, upstream, answers_of_chunks)
        first = await anext(chunks)
        await chunks.aclose()
        return first

    async def scenario() -> None:
        task = asyncio.create_task(one_chunk())
        await stopping.wait()
        await cancelled(task)
        stopped.set()
        await auntil(lambda: not bench.flights)
        await auntil(lambda: len(asyncio.all_tasks()) == 1)

    run(scenario)


def test_a_reader_that_ends_in_time_is_not_cancelled_by_its_neighbours(
    bench: Bench, model: Model
) -> None:
    """Hundreds of orders of cancels and chunks; a reader ends whole, or by its own cancel."""

    async def scenario() -> None:
        for seed in range(60):
            fresh = Model(usual=CHUNKS)
            fresh.gate.set()
            bench.service.local.clear()
            bench.service.store.clear()
            tasks = [asyncio.create_task(bench.aread(fresh)) for _ in range(6)]
            asked_to_stop = set()
            for turn in range(12):
                await asyncio.sleep(0)
                if (seed >> (turn % 6)) & 1:
                    tasks[(turn + seed) % 6].cancel()
                    asked_to_stop.add(tasks[(turn + seed) % 6])
            await asyncio.wait(tasks, timeout=PATIENCE)
            for task in tasks:
                assert task in asked_to_stop if task.cancelled() else task.result() == TEXT
            assert bench.flights == []

    run(scenario)


@pytest.mark.parametrize("place", [1, 4])
def test_an_error_in_the_middle_reaches_every_reader(bench: Bench, place: int) -> None:
    model = Model(usual=(*CHUNKS[:place], ModelError("broken")))

    async def read() -> str:
        text = ""
        try:
            async for chunk in bench.achunks(model):
                text += chunk
        except ModelError:
            return text
        pytest.fail("no error")

    async def scenario() -> list[str]:
        tasks = [asyncio.create_task(read()) for _ in range(8)]
        await auntil(lambda: bench.readers == 8)
        model.gate.set()
        return await asyncio.gather(*tasks)

    assert run(scenario) == ["".join(CHUNKS[:place])] * 8
    assert (model.calls, model.closed) == (1, 1)


def test_after_an_error_before_the_first_chunk_followers_make_their_own_call(
    bench: Bench,
) -> None:
    class Slow(Model):
        """Waits before the first chunk too."""

        async def astream(self) -> AsyncIterator[str]:
            """Stream."""
            await auntil(self.gate.is_set)
            async for chunk in super().astream():
                yield chunk

    model = Slow({1: (ModelError("at once"),)}, usual=CHUNKS)

    async def scenario() -> list[Any]:
        tasks = [asyncio.create_task(bench.aread(model)) for _ in range(8)]
        await auntil(lambda: bench.readers == 8)
        model.gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = run(scenario)
    assert isinstance(first, ModelError)
    assert others == [TEXT] * 7
    assert model.calls == 8


def test_an_upstream_that_cannot_begin_releases_the_others(bench: Bench, model: Model) -> None:
    model.gate.set()

    def refused() -> AsyncIterator[str]:
        raise ModelError("refused")

    async def scenario() -> str:
        lookup = await bench.service.aopen(asked(), stream="test")
        follower = asyncio.create_task(in_task(bench.aread(model)))
        await asyncio.sleep(0)
        chunks = bench.answering.astream(lookup, refused, answers_of_chunks)
        with pytest.raises(ModelError):
            await anext(chunks)
        return str(await follower)

    assert run(scenario) == TEXT


def test_who_comes_after_the_end_gets_the_whole_stream(bench: Bench, model: Model) -> None:
    async def scenario() -> None:
        leader = await opened(bench, model)
        late = await in_task(bench.service.aopen(asked(), stream="test"))
        model.gate.set()
        assert "".join([chunk async for chunk in leader]) == "bcd."
        chunks = bench.answering.astream(late, model.astream, answers_of_chunks)
        assert "".join([chunk async for chunk in chunks]) == TEXT
        assert late.origin.outcome == "coalesced"

    run(scenario)
    assert model.calls == 1


def test_who_comes_after_the_last_has_left_calls_for_itself(bench: Bench, model: Model) -> None:
    async def scenario() -> None:
        leader = await opened(bench, model)
        late = await in_task(bench.service.aopen(asked(), stream="test"))
        await leader.aclose()
        model.gate.set()
        chunks = bench.answering.astream(late, model.astream, answers_of_chunks)
        assert "".join([chunk async for chunk in chunks]) == TEXT
        assert (late.origin.outcome, late.origin.reason) == ("miss", "leader_left")

    run(scenario)
    assert model.calls == 2


def test_the_leaders_own_loop_may_read_the_same_stream(bench: Bench, model: Model) -> None:
    async def scenario() -> list[str]:
        texts = []
        async for _ in bench.achunks(model):
            model.gate.set()  # held until the first chunk was read, so that it is under way
            texts.append(await bench.aread(model))
        return texts

    assert run(scenario) == [TEXT] * len(CHUNKS)
    assert model.calls == 1


def test_a_leader_cancelled_before_its_stream_has_begun_hands_over(
    bench: Bench, model: Model
) -> None:
    """The first reader is cancelled at every turn of the loop at which it may be."""
    model.gate.set()

    async def scenario() -> None:
        for turns in range(12):
            bench.service.local.clear()
            bench.service.store.clear()
            first = asyncio.create_task(bench.aread(model))
            second = asyncio.create_task(bench.aread(model))
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait([first], timeout=PATIENCE)
            assert await second == TEXT
            assert bench.flights == []

    run(scenario)


def test_a_generator_that_is_dropped_leaves(bench: Bench, model: Model) -> None:
    async def scenario() -> None:
        chunks = await opened(bench, model)
        del chunks
        gc.collect()
        await auntil(lambda: model.closed == 1)
        await auntil(lambda: len(asyncio.all_tasks()) == 1)

    run(scenario)


def test_a_loop_that_ends_with_open_streams_leaves_nothing(bench: Bench, model: Model) -> None:
    held: list[object] = []

    async def left_open() -> None:
        for _ in range(2):
            held.append(await opened(bench, model))  # noqa: PERF401
        held.append(asyncio.create_task(bench.aread(model)))
        await auntil(lambda: bench.readers == 3)

    start(lambda: asyncio.run(left_open())).result(PATIENCE)
    assert (model.calls, model.closed) == (1, 1)
    assert bench.flights == []
    model.gate.set()
    assert run(lambda: bench.aread(model)) == TEXT
    assert model.calls == 2
