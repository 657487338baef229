"""Work in daemon threads: what gives up waiting takes nothing away from the others."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from aegis_llm.errors import Trouble
from aegis_llm.scheduler.digests import DigestBook
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.stores.memory import MemoryStore
from tests.races.kit import Ollama, auntil, cancelled, done, run, start, until

LATE = Trouble("late")


def test_a_waiter_that_gives_up_does_not_take_the_fetch_from_the_others() -> None:
    """All threads of the pool are busy, so that the fetch has not begun when its waiter leaves."""
    pool, gate = DaemonPool("test-io", 1), threading.Event()
    pool.submit(until, gate.is_set)
    book = DigestBook(MemoryStore(), "default", pool)
    book.register(Ollama())

    async def scenario() -> None:
        _, fetching = book.look("s", "m:latest")
        assert fetching is not None
        with pytest.raises(Trouble, match="late"):
            await await_(fetching, 0.001, LATE)
        waiting = asyncio.create_task(await_(fetching, 60, LATE))
        await asyncio.sleep(0)
        await cancelled(waiting)
        other = asyncio.create_task(await_(fetching, 60, LATE))
        await asyncio.sleep(0)
        gate.set()
        await other

    run(scenario)
    assert book.known("s", "m:latest") == "sha256:abc"
    assert book.look("s", "m:latest") == ("sha256:abc", None)


def test_a_result_that_comes_after_its_loop_has_ended_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    future: Future[int] = Future()

    async def scenario() -> None:
        with pytest.raises(Trouble, match="late"):
            await await_(future, 0.001, LATE)

    run(scenario)
    future.set_exception(ValueError("late"))
    assert caplog.records == []


@pytest.mark.parametrize("error", [None, ValueError("broken")])
def test_everybody_who_waits_gets_what_comes(error: Exception | None) -> None:
    future: Future[int] = Future()

    async def scenario() -> list[Any]:
        tasks = [asyncio.create_task(await_(future, 60, LATE)) for _ in range(8)]
        await asyncio.sleep(0)
        started.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    started = threading.Event()
    loop = start(lambda: run(scenario))
    threads = [start(lambda: wait(future, 60, LATE)) for _ in range(8)]
    until(started.is_set)
    if error is None:
        future.set_result(7)
    else:
        future.set_exception(error)
    expected = [7 if error is None else error] * 8
    assert done([loop]) == [expected]
    assert [thread.exception(30) or thread.result() for thread in threads] == expected


def test_a_pool_never_has_more_threads_than_its_size_and_loses_no_work() -> None:
    pool = DaemonPool("test-many", 3)
    seen: set[str] = set()

    def work(number: int) -> int:
        seen.add(threading.current_thread().name)
        return number

    def submit(first: int) -> list[int]:
        return done([pool.submit(work, first + n) for n in range(50)])

    threads = [start(lambda n=n: submit(50 * n)) for n in range(16)]  # type: ignore[misc]
    assert [number for part in done(threads) for number in part] == list(range(800))
    assert seen <= {f"test-many-{n}" for n in range(3)}


def test_work_that_fails_leaves_the_thread_to_the_next() -> None:
    pool = DaemonPool("test-fail", 1)
    assert isinstance(pool.submit(int, "x").exception(30), ValueError)
    assert done([pool.submit(int, "7")]) == [7]


def test_a_cancelled_piece_of_work_is_left_out() -> None:
    pool, gate = DaemonPool("test-cancel", 1), threading.Event()
    held = pool.submit(until, gate.is_set)
    done_late: list[int] = []
    dropped = pool.submit(done_late.append, 1)
    assert dropped.cancel()
    gate.set()
    done([held, pool.submit(done_late.append, 2)])
    assert done_late == [2]


def test_waiting_never_holds_up_the_loop() -> None:
    future: Future[int] = Future()

    async def scenario() -> int:
        task = asyncio.create_task(await_(future, 60, LATE))
        await auntil(lambda: future._done_callbacks)
        future.set_result(7)
        return int(await task)

    assert run(scenario) == 7
