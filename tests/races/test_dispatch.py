"""The queue of a server under threads and tasks: no more than the slots, nobody forgotten."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from functools import partial

import pytest

from aegis_llm.batching.jobs import Reply
from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import QueueFullError, QueueTimeoutError
from aegis_llm.scheduler import dispatch
from aegis_llm.scheduler.dispatch import Dispatcher
from tests.races.kit import auntil, cancelled, done, run, start, until
from tests.races.queue_kit import (
    REPLY,
    Counter,
    apasses,
    flying,
    job,
    nothing_is_left,
    passes,
    waiting,
)

LOOPS, EACH, TURNS = 4, 16, 4


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody look around: what happens, happens for another reason."""
    monkeypatch.setattr(dispatch, "PATIENCE_S", 1e6)


@pytest.mark.parametrize("slots", [1, 3])
def test_threads_and_tasks_of_several_loops_share_the_slots(counter: Counter, slots: int) -> None:
    queue = counter.queue(slots)

    def thread(seed: int) -> None:
        turns = random.Random(seed)
        for turn in range(TURNS):
            hold = queue.enter(job(f"m{turn % 2}", priority=turns.choice([0, 0, 1])))
            with counter.counted():
                time.sleep(0)
            if turns.random() < 0.8:
                hold.end(REPLY)
            del hold  # some forget to

    async def task(seed: int) -> None:
        turns = random.Random(seed)
        for turn in range(TURNS):
            hold = await queue.aenter(job(f"m{turn % 2}", tenant=turns.choice("xyz")))
            with counter.counted():
                await asyncio.sleep(0)
            if turns.random() < 0.8:
                hold.end(REPLY)
            del hold

    async def loop(first: int) -> None:
        await asyncio.gather(*(task(seed) for seed in range(first, first + EACH)))

    done(
        [start(partial(thread, seed)) for seed in range(LOOPS * EACH)]
        + [start(partial(asyncio.run, loop(first))) for first in range(0, LOOPS * EACH, EACH)]
    )
    assert counter.served == 2 * LOOPS * EACH * TURNS
    assert counter.peak <= 2 * slots  # for two models
    assert counter.peak >= slots


def test_nobody_is_lost_where_tasks_are_cancelled_all_the_time(counter: Counter) -> None:
    queue = counter.queue(2)

    async def task(turns: random.Random) -> None:
        hold, reply = await queue.aenter(job()), None
        try:
            for _ in range(turns.randrange(3)):
                await asyncio.sleep(0)
            reply = REPLY
        finally:
            hold.end(reply)

    async def loop(seed: int) -> int:
        turns, lived = random.Random(seed), 0
        for _ in range(30):
            tasks = [asyncio.create_task(task(turns)) for _ in range(6)]
            for _ in range(turns.randrange(12)):
                await asyncio.sleep(0)
                turns.choice(tasks).cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
            lived += ends.count(None)
        return lived

    threads = [start(partial(asyncio.run, loop(seed))) for seed in range(4)]
    assert sum(done(threads)) > 0
    nothing_is_left(queue)
    passes(queue)


@pytest.mark.parametrize("from_a_thread", [False, True])
def test_a_task_may_be_cancelled_at_every_step_beside_the_free_slot(
    counter: Counter, from_a_thread: bool
) -> None:
    """In all orders of: it waits, the slot comes free, it is let in, it goes on."""
    queue = counter.queue()
    ends = set()

    async def scenario(free_after: int, cancel_after: int) -> None:
        first = await queue.aenter(job())
        second = asyncio.create_task(queue.aenter(job()))
        for step in range(8):
            if step == free_after:
                if from_a_thread:
                    await asyncio.wait_for(asyncio.to_thread(first.end, REPLY), 30)
                else:
                    first.end(REPLY)
            if step == cancel_after:
                second.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([second])
        ends.add(second.cancelled())
        if not second.cancelled():
            second.result().end()
        assert queue.busy == 0
        await apasses(queue)

    for free_after in range(5):
        for cancel_after in range(8):
            run(partial(scenario, free_after, cancel_after))
    assert ends == {True, False}


def test_a_cancelled_task_that_runs_gives_its_slot_to_the_next(counter: Counter) -> None:
    queue = counter.queue()

    async def scenario() -> None:
        async def work() -> None:
            hold = await queue.aenter(job())
            try:
                await asyncio.Event().wait()
            finally:
                hold.end()

        first = asyncio.create_task(work())
        await auntil(lambda: flying(queue) == 1)
        thread = start(partial(passes, queue))
        await auntil(lambda: waiting(queue) == 1)
        await cancelled(first)
        await asyncio.to_thread(done, [thread])

    run(scenario)


def test_who_comes_too_late_is_told_so_at_once(counter: Counter) -> None:
    queue = counter.queue()
    past = time.monotonic() - 1
    with pytest.raises(QueueTimeoutError, match="test's server was not sent: its deadline"):
        queue.enter(job(deadline=past))

    async def scenario() -> None:
        with pytest.raises(QueueTimeoutError):
            await queue.aenter(job(deadline=past))

    run(scenario)
    assert queue._queue._models == {}


@pytest.mark.parametrize("way", ["deadline", "queue_timeout_s"])
def test_who_waits_too_long_is_told_so_and_leaves_its_place(counter: Counter, way: str) -> None:
    queue = counter.queue(queue_timeout_s=0.05 if way == "queue_timeout_s" else None)
    hold = queue.enter(job())

    def late() -> float | None:
        return time.monotonic() + 0.05 if way == "deadline" else None

    async def awaited() -> None:
        with pytest.raises(QueueTimeoutError):
            await queue.aenter(job(deadline=late()))

    with pytest.raises(QueueTimeoutError):
        queue.enter(job(deadline=late()))
    run(awaited)
    assert (waiting(queue), flying(queue)) == (0, 1)
    hold.end()
    passes(queue)


def test_the_wait_of_another_try_begins_anew(counter: Counter) -> None:
    """A call that took its time and failed does not find its time in the queue used up."""
    queue = counter.queue(queue_timeout_s=20.0)
    hold = queue.enter(job())
    again = job()
    again.arrived -= 100.0
    thread = start(partial(queue.enter, again))
    until(lambda: waiting(queue) == 1)
    hold.end()
    done([thread])[0].end()


def test_a_full_queue_says_so_at_once_and_goes_on(counter: Counter) -> None:
    queue = counter.queue(max_queue=2)
    hold = queue.enter(job())
    threads = [start(partial(passes, queue)) for _ in range(2)]
    until(lambda: waiting(queue) == 2)

    async def awaited() -> None:
        with pytest.raises(QueueFullError):
            await queue.aenter(job())

    with pytest.raises(QueueFullError) as caught:
        queue.enter(job())
    assert caught.value.waiting == 2
    run(awaited)
    assert (waiting(queue), flying(queue)) == (2, 1)
    hold.end()
    done(threads)


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize("awaited", [False, True])
def test_the_unconditional_window_ends_without_another_event(
    counter: Counter, awaited: bool
) -> None:
    queue = counter.queue(4, window="always", window_ms=30)
    if awaited:
        run(partial(apasses, queue))
    else:
        passes(queue)


def test_the_window_ends_with_the_most_that_it_gathers(counter: Counter) -> None:
    queue = counter.queue(8, window="always", window_ms=60_000, max_batch=3)
    threads = [start(partial(passes, queue)) for _ in range(2)]
    until(lambda: waiting(queue) == 2)
    passes(queue)
    done(threads)


def test_a_window_is_not_put_off_by_calls_that_cannot_wait(counter: Counter) -> None:
    """Nor does one begin with the time of a request that has left."""
    now = [0.0]
    config = SchedulerConfig(num_parallel=8, window="always", window_ms=50)
    queue = Dispatcher(config, monotonic=lambda: now[0])

    async def scenario() -> None:
        gone = asyncio.create_task(queue.aenter(job()))
        await auntil(lambda: waiting(queue) == 1)
        await cancelled(gone)
        now[0] = 1.0
        waits = asyncio.create_task(queue.aenter(job()))
        await auntil(lambda: waiting(queue) == 1)
        assert queue._queue.due_at() == 1.05
        now[0] = 1.04
        queue.enter(job()).end()  # on the loop's thread
        assert queue._queue.due_at() == 1.05
        now[0] = 1.05
        (await waits).end()

    run(scenario)
    nothing_is_left(queue)


@pytest.mark.usefixtures("still")
def test_new_settings_hold_for_those_that_wait(counter: Counter) -> None:
    queue = counter.queue(window="always", window_ms=60_000)
    gathered = start(partial(queue.enter, job()))
    until(lambda: waiting(queue) == 1)
    queue.configure(SchedulerConfig(num_parallel=1))
    hold = done([gathered])[0]
    threads = [start(partial(queue.enter, job())) for _ in range(2)]
    until(lambda: waiting(queue) == 2)
    queue.configure(SchedulerConfig(num_parallel=3))
    for other in done(threads):
        other.end(REPLY)
    queue.configure(SchedulerConfig())
    assert queue.state().models["m"].slots is None
    free = [queue.enter(job()) for _ in range(5)]
    queue.configure(SchedulerConfig(num_parallel=1))
    for other in (*free, hold):
        other.end(REPLY)
    passes(queue)


def test_new_settings_beside_busy_slots_lose_nobody(counter: Counter) -> None:
    queue = counter.queue(2)
    stop = threading.Event()

    def change() -> None:
        turns = random.Random(1)
        while not stop.is_set():
            settings = SchedulerConfig(
                num_parallel=turns.choice([None, 1, 2, 5]),
                window=turns.choice(["busy", "always"]),
                window_ms=1,
                max_batch=turns.choice([1, 32]),
                max_loaded_models=turns.choice([None, 1, 2]),
            )
            queue.configure(settings)
            time.sleep(0.001)
        queue.configure(SchedulerConfig(num_parallel=2))

    def work(seed: int) -> None:
        turns = random.Random(seed)
        for _ in range(30):
            reply = Reply(turns.choice([0.0, 0.0, 1.0]), 0.01, 0.1, 0.05, 100, 10)
            queue.enter(job(turns.choice("abc"))).end(reply)

    changing = start(change)
    done([start(partial(work, seed)) for seed in range(12)])
    stop.set()
    done([changing])
