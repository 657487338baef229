"""Event loops that end, stop or are blocked, and threads that they need."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from aegis_llm.scheduler import dispatch
from aegis_llm.scheduler.dispatch import Dispatcher, Hold
from tests.races.kit import auntil, done, run, start, until
from tests.races.queue_kit import (
    REPLY,
    Counter,
    apasses,
    flying,
    held,
    job,
    passes,
    steps,
    waiting,
)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that a test runs, stops and closes by hand."""
    made = asyncio.new_event_loop()
    yield made
    if not made.is_closed():
        for task in asyncio.all_tasks(made):
            task.cancel()
        made.run_until_complete(steps(5))
        made.close()


def begun(loop: asyncio.AbstractEventLoop, awaitable: Any) -> asyncio.Task[Any]:
    """Begin a task, and stop the loop while it is under way."""
    task = loop.create_task(awaitable)
    loop.run_until_complete(steps(3))
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # that is what is tested
    return task


def test_a_task_that_waits_on_a_closed_loop_gets_no_slot(
    counter: Counter, loop: asyncio.AbstractEventLoop
) -> None:
    queue = counter.queue()
    hold = queue.enter(job())
    task = begun(loop, queue.aenter(job()))
    thread = start(partial(passes, queue))
    until(lambda: waiting(queue) == 2)
    loop.close()
    hold.end()
    done([thread])
    assert (waiting(queue), flying(queue)) == (0, 0)
    assert not task.done()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("ended", ["stopped", "closed"])
@pytest.mark.parametrize("let_in", [False, True])
def test_a_slot_on_a_loop_that_does_not_go_on_comes_free(
    counter: Counter, loop: asyncio.AbstractEventLoop, ended: str, let_in: bool
) -> None:
    """The task holds it, or was about to hear that it was let in."""
    queue, holds = counter.queue(), []
    first = queue.enter(job()) if let_in else None
    task = begun(loop, held(queue, holds))
    assert bool(holds) is not let_in
    if first is not None:
        first.end()
    assert flying(queue) == 1
    if ended == "closed":
        loop.close()
    done([start(partial(passes, queue))])
    run(partial(apasses, queue))
    if ended == "stopped":  # it goes on after all
        loop.run_until_complete(asyncio.wait([task]))
        holds[0].end(REPLY)
    passes(queue)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("awaited", [False, True])
def test_a_loop_blocked_by_whoever_waits_for_its_slot(
    counter: Counter, awaited: bool, streaming: bool
) -> None:
    """LlamaIndex's `asyncio_run` in a running loop blocks it until a thread of its own is done."""
    queue = counter.queue()

    async def scenario() -> None:
        hold = await queue.aenter(job())
        hold.job.answered = streaming
        call = partial(run, partial(apasses, queue)) if awaited else partial(passes, queue)
        done([start(call)])  # blocks this loop
        hold.end()

    run(scenario)


@pytest.mark.usefixtures("impatient")
def test_a_loop_that_lives_keeps_its_slot_however_often_others_look(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "GRACE_S", 30.0)  # the test's machine may stand still as well
    queue, looks = counter.queue(), []
    tend = queue._tend
    monkeypatch.setattr(queue, "_tend", lambda place: (looks.append(1), tend(place)))
    loops = ThreadPoolExecutor(2, thread_name_prefix="asyncio")

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(loops)
        hold = await queue.aenter(job())
        calls = [asyncio.to_thread(passes, queue), asyncio.to_thread(run, partial(apasses, queue))]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await auntil(lambda: len(looks) >= 20)
        assert (waiting(queue), flying(queue)) == (2, 1)
        hold.end()
        await asyncio.gather(*tasks)

    run(scenario)


@pytest.mark.usefixtures("impatient")
def test_threads_that_wait_give_way_to_a_task_that_needs_one(counter: Counter) -> None:
    """A task looks up the name of its server in the executor, all of whose threads wait for it."""
    queue = counter.queue()

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        hold = await queue.aenter(job())
        calls = [asyncio.ensure_future(asyncio.to_thread(passes, queue)) for _ in range(4)]
        await auntil(lambda: waiting(queue) == 2)
        await asyncio.to_thread(threading.current_thread)
        hold.end()
        await asyncio.gather(*calls)

    run(scenario)


@pytest.mark.usefixtures("impatient")
def test_threads_that_wait_do_not_give_way_to_a_stream_that_has_begun(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, looks = counter.queue(), []
    monkeypatch.setattr(dispatch, "GRACE_S", 30.0)
    tend = queue._tend
    monkeypatch.setattr(queue, "_tend", lambda place: (looks.append(1), tend(place)))

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        hold = await queue.aenter(job())
        hold.job.answered = True
        calls = [asyncio.ensure_future(asyncio.to_thread(passes, queue)) for _ in range(4)]
        await auntil(lambda: len(looks) >= 20)
        assert (waiting(queue), flying(queue)) == (2, 1)
        assert not any(call.done() for call in calls)
        hold.end()
        await asyncio.gather(*calls)

    run(scenario)


def test_a_blocking_call_on_the_thread_of_a_loop_never_waits(counter: Counter) -> None:
    queue = counter.queue()

    async def scenario() -> None:
        hold = await queue.aenter(job())
        waits = asyncio.create_task(queue.aenter(job()))
        await auntil(lambda: waiting(queue) == 1)
        extra = [queue.enter(job()) for _ in range(3)]
        assert (waiting(queue), flying(queue)) == (1, 4)
        for other in (hold, *extra):
            other.end(REPLY)
        (await waits).end(REPLY)

    run(scenario)


def test_a_loop_that_ends_takes_no_slot_along(counter: Counter) -> None:
    """`asyncio.run` cancels what waits and what runs."""
    queue = counter.queue(2)

    async def work() -> None:
        hold = await queue.aenter(job())
        try:
            await asyncio.Event().wait()
        finally:
            hold.end()

    async def short() -> None:
        tasks = [asyncio.create_task(work()) for _ in range(10)]
        await auntil(lambda: waiting(queue) == 8)
        assert not any(task.done() for task in tasks)

    start(lambda: asyncio.run(short())).result()
    passes(queue)


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self, *kept: Any) -> None:
        self.kept = [self, *kept]


def garbage(queue: Dispatcher, loop: asyncio.AbstractEventLoop) -> None:
    """Leave holds, a stream and a task that waits to the collector."""

    def stream(hold: Hold) -> Iterator[int]:
        try:
            yield 1
        finally:
            hold.end(REPLY)

    reading = stream(queue.enter(job()))
    next(reading)
    Cycle(queue.enter(job()), reading)
    waits = queue.aenter(job())

    async def step() -> None:
        waits.send(None)

    loop.run_until_complete(step())
    Cycle(waits)


def test_what_the_collector_ends_while_the_lock_is_held(
    counter: Counter, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the thread that has the lock; what it ended is free right after."""
    queue = counter.queue(3)
    first = queue.enter(job())
    gc.collect()
    gc.disable()
    try:
        garbage(queue, loop)
        assert (waiting(queue), flying(queue)) == (1, 3)
        inner, ended = queue._queue, []
        done_ = inner.done

        def collecting(*args: Any, **kwargs: Any) -> None:
            if not ended:
                ended.append(gc.collect())
            done_(*args, **kwargs)

        monkeypatch.setattr(inner, "done", collecting)
        done([start(partial(first.end, REPLY))])
        assert ended[0] > 0
        assert queue.busy == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("method", ["state", "went_away"])
def test_an_end_while_another_thread_has_the_lock_is_heeded_after_it(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Nobody who ends waits, and no other event is needed."""
    queue = counter.queue()
    hold = queue.enter(job())
    inside, gate = threading.Event(), threading.Event()
    right = getattr(queue._queue, method)

    def slow() -> Any:
        inside.set()
        until(gate.is_set)
        return right()

    monkeypatch.setattr(queue._queue, method, slow)
    looking = start(getattr(queue, method))
    until(inside.is_set)
    done([start(partial(hold.end, REPLY))])
    assert flying(queue) == 1
    gate.set()
    done([looking])
    assert queue.busy == 0
