"""The pool of daemon threads, and waiting for it with a limit."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest

from aegis_llm.errors import EmbedTrouble, StoreTrouble, Trouble
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from tests.unit.virtual_loop import run

LATE = StoreTrouble("too_late")


@pytest.fixture
def pool() -> DaemonPool:
    return DaemonPool("test-pool", 2)


class Gate:
    """A job that waits until it is let through, and tells when it has begun."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, value: Any = None) -> Any:
        self.begun.release()
        assert self.open.wait(10)
        return value


@pytest.fixture
def gate() -> Any:
    gate = Gate()
    yield gate
    gate.open.set()


def test_a_job_returns_or_raises_into_its_future(pool: DaemonPool) -> None:
    assert pool.submit(divmod, 7, 2).result(5) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(5)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_no_job_can_end_a_thread(pool: DaemonPool, error: BaseException) -> None:
    def end() -> None:
        raise error

    one = DaemonPool("test-one", 1)
    with pytest.raises(type(error)):
        one.submit(end).result(5)
    assert one.submit(int, "7").result(5) == 7


def test_there_are_never_more_threads_than_allowed(pool: DaemonPool, gate: Gate) -> None:
    jobs = [pool.submit(gate, i) for i in range(6)]
    for _ in range(2):
        assert gate.begun.acquire(timeout=5)
    assert not gate.begun.acquire(blocking=False)
    assert [t.daemon for t in threading.enumerate() if "test-pool" in t.name][:2] == [True, True]
    gate.open.set()
    assert [job.result(5) for job in jobs] == list(range(6))
    assert sum(t.name.startswith("test-pool") for t in pool._crew.threads) == 2


def test_an_idle_thread_is_used_again(pool: DaemonPool) -> None:
    names = {pool.submit(lambda: threading.current_thread().name).result(5)}
    deadline = 0
    while pool._crew.idle < 1 and deadline < 10_000_000:
        deadline += 1
    names.add(pool.submit(lambda: threading.current_thread().name).result(5))
    assert len(names) == 1


def test_two_jobs_run_at_once(pool: DaemonPool) -> None:
    meeting = threading.Barrier(2, timeout=5)
    jobs = [pool.submit(meeting.wait) for _ in range(2)]
    assert sorted(job.result(5) for job in jobs) == [0, 1]


def test_a_job_cancelled_in_the_queue_never_runs(gate: Gate) -> None:
    one, ran = DaemonPool("test-one", 1), []
    first = one.submit(gate)
    second = one.submit(ran.append, 1)
    assert gate.begun.acquire(timeout=5)
    assert second.cancel()
    gate.open.set()
    first.result(5)
    assert one.submit(int, "7").result(5) == 7
    assert ran == []


SCRIPT = """
import os, sys, threading
from aegis_llm.scheduler.pool import DaemonPool
pool = DaemonPool("test", 1)
begun = threading.Event()
def hang():
    begun.set()
    threading.Event().wait()
"""


def script(text: str) -> str:
    """Run a program of its own and return what it says; a hung one fails the test."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT + text],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_job_that_never_returns_does_not_hold_up_the_exit() -> None:
    assert script("pool.submit(hang); begun.wait(); print('bye')") == "bye"


def test_after_a_fork_the_child_has_threads_of_its_own() -> None:
    """Also when the parent's only thread hangs, or holds the lock, at that moment."""
    said = script(
        "pool.submit(hang); begun.wait(); pool._crew.lock.acquire()\n"
        "if (child := os.fork()) == 0:\n"
        "    print(pool.submit(int, '7').result(5), flush=True); os._exit(0)\n"
        "sys.exit(os.waitpid(child, 0)[1])\n"
    )
    assert said == "7"


def finished(result: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return future


class TestWaiting:
    def test_a_result_in_time_is_returned(self) -> None:
        assert wait(finished(7), 0, LATE) == 7
        assert run(await_(finished(7), 0.1, LATE)) == 7

    def test_an_error_in_time_is_raised_as_it_is(self) -> None:
        with pytest.raises(ZeroDivisionError):
            wait(finished(ZeroDivisionError()), 0, LATE)
        with pytest.raises(ZeroDivisionError):
            run(await_(finished(ZeroDivisionError()), 0.1, LATE))

    @pytest.mark.parametrize("late", [LATE, EmbedTrouble("slow"), Trouble("x")])
    def test_too_late_is_a_trouble_of_the_given_kind(self, late: Trouble) -> None:
        for call in (lambda f: wait(f, 0, late), lambda f: run(await_(f, 0.1, late))):
            with pytest.raises(type(late), match=f"^{late.reason}$") as caught:
                call(Future())
            assert caught.value is not late, "a shared exception would collect tracebacks"

    def test_a_running_job_goes_on_when_its_waiter_is_cancelled(self) -> None:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()

        async def main() -> None:
            task = asyncio.create_task(await_(future, 1, LATE))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        run(main())
        assert not future.cancelled()
        future.set_result(7)
        assert future.result() == 7

    def test_a_waiter_that_gave_up_does_not_cancel_the_others(self) -> None:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()

        async def main() -> int:
            patient = asyncio.create_task(await_(future, 10, LATE))
            with pytest.raises(StoreTrouble):
                await await_(future, 0.1, LATE)
            future.set_result(7)
            return int(await patient)

        assert run(main()) == 7

    def test_one_in_the_queue_does_not_cancel_the_others_either(self) -> None:
        """Several requests wait for one contact that no thread has begun yet."""
        future: Future[int] = Future()

        async def main() -> int:
            patient = asyncio.create_task(await_(future, 10, LATE))
            with pytest.raises(StoreTrouble):
                await await_(future, 0.1, LATE)
            await asyncio.sleep(0.1)
            assert not future.cancelled()
            future.set_running_or_notify_cancel()
            future.set_result(7)
            return int(await patient)

        assert run(main()) == 7

    def test_an_error_that_comes_too_late_is_not_reported_as_forgotten(self) -> None:
        future: Future[int] = Future()
        future.set_running_or_notify_cancel()

        async def main() -> None:
            seen: list[Any] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, told: seen.append(told))
            with pytest.raises(StoreTrouble):
                await await_(future, 0.1, LATE)
            cancelled = asyncio.create_task(await_(future, 10, LATE))
            await asyncio.sleep(0.1)
            cancelled.cancel()
            await asyncio.wait([cancelled])
            future.set_exception(ZeroDivisionError())
            await asyncio.sleep(0.1)
            gc.collect()
            assert seen == []

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(main())

    def test_a_cancelled_job_is_an_error_of_its_waiter(self) -> None:
        future: Future[int] = Future()
        future.cancel()
        with pytest.raises(CancelledError):
            wait(future, 0, LATE)
