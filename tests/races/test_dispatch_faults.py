"""The queue of a server where something goes wrong in its midst, and what it keeps for ever."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import sys
import threading
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import aegis_llm
from aegis_llm.batching.jobs import Reply
from aegis_llm.batching.prefix import prefix_of
from aegis_llm.batching.queue import Queue
from aegis_llm.config import SchedulerConfig
from aegis_llm.scheduler import dispatch
from aegis_llm.scheduler.dispatch import Dispatcher, Hold
from tests.races.kit import done, run, start, until
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

PACKAGE = Path(aegis_llm.__file__).parent
TRACED = {str(PACKAGE / "scheduler/dispatch.py"), *map(str, (PACKAGE / "batching").glob("*.py"))}
LOCKING = {"_heed", "_turn", "_ask", "_mending"}  # between a lock and its release nothing helps


class CtrlCError(BaseException):
    """What a signal handler raises, in any line."""


class Interruption:
    """Raises in the n-th line that a thread runs of the dispatcher and of what decides."""

    def __init__(self, place: int) -> None:
        self.left = place

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in TRACED or frame.f_code.co_name in LOCKING:
            return None
        if event == "line" and frame.f_back is not None:
            self.left -= 1
            if not self.left:
                raise CtrlCError
        return self


def interrupted(call: Any, place: int) -> bool:
    """Run a call with an interruption; return whether it came to its end before."""

    def traced() -> bool:
        sys.settrace(Interruption(place))
        try:
            call()
        except CtrlCError:
            return False
        finally:
            sys.settrace(None)
        return True

    return done([start(traced)])[0]


@pytest.mark.usefixtures("impatient")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_in_any_line_of_a_call_loses_no_slot(busy: bool, caplog: Any) -> None:
    """Also in the midst of a decision: then all that wait are sent, and the queue begins anew."""
    caplog.set_level(logging.CRITICAL)
    for place in count(1):
        queue = Dispatcher(SchedulerConfig(num_parallel=1, queue_timeout_s=30.0))
        first = queue.enter(job()) if busy else None
        second = start(partial(passes, queue)) if busy else None
        until(lambda queue=queue, busy=busy: waiting(queue) == busy)

        def call(queue: Dispatcher = queue, first: Any = first) -> None:
            if first is None:
                queue.enter(job()).end(REPLY)
            else:
                first.end(REPLY)
                queue.enter(job()).end(REPLY)

        over = interrupted(call, place)
        if first is not None:
            first.end()
        del first
        if second is not None:
            done([second])
        done([start(partial(passes, queue))])
        nothing_is_left(queue)
        if over:
            break
    assert place > 50


def test_a_thread_that_is_interrupted_while_it_waits_leaves_its_place(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "PATIENCE_S", 0.3)  # a blocked thread is not interrupted before
    queue, waits = counter.queue(), []
    hold = queue.enter(job())

    def wait() -> str:
        waits.append(threading.get_ident())
        try:
            queue.enter(job())
        except KeyboardInterrupt:
            return "interrupted"
        return "let in"

    thread = start(wait)
    until(lambda: [place for place in queue._places.values() if place._condition._waiters])
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
    interrupt(ctypes.c_ulong(waits[0]), ctypes.py_object(KeyboardInterrupt))
    assert done([thread]) == ["interrupted"]
    assert (waiting(queue), flying(queue)) == (0, 1)
    hold.end()
    passes(queue)


@pytest.mark.parametrize("method", ["next", "submit", "done"])
def test_a_queue_that_fails_costs_no_call(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, caplog: Any, method: str
) -> None:
    monkeypatch.setattr(dispatch, "PATIENCE_S", 1e6)  # nobody looks around
    queue = counter.queue()
    hold = queue.enter(job())
    waits = [start(partial(queue.enter, job())) for _ in range(3)]
    tasks = [start(lambda: run(partial(apasses, queue))) for _ in range(3)]
    until(lambda: waiting(queue) == 6)
    right, failed = getattr(Queue, method), []

    def fail(self: Queue, *args: Any, **kwargs: Any) -> Any:
        if not failed:
            failed.append(right(self, *args, **kwargs))
            raise ZeroDivisionError
        return right(self, *args, **kwargs)

    monkeypatch.setattr(Queue, method, fail)
    last = start(partial(passes, queue)) if method == "submit" else None
    hold.end(REPLY)
    for other in done(waits):
        other.end(REPLY)
    done(tasks)
    done([last] if last else [])
    passes(queue)
    assert failed
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]
    assert "the test's server failed and begins anew" in caplog.text


def test_a_stream_that_cannot_be_read_ahead_costs_no_other_call(
    counter: Counter, caplog: Any
) -> None:
    class Stream:
        asked = 0

        def read_on(self) -> None:
            self.asked += 1
            raise ZeroDivisionError

    queue, stream = counter.queue(), Stream()
    hold = queue.enter(job())
    hold.on_wait(stream.read_on)
    threads = [start(partial(passes, queue)) for _ in range(2)]
    until(lambda: stream.asked == 2)
    until(lambda: waiting(queue) == 2)
    hold.on_wait(stream.read_on)  # they wait already
    assert stream.asked == 3
    hold.end()
    done(threads)
    assert {record.exc_info[0] for record in caplog.records} == {ZeroDivisionError}


def test_what_is_kept_does_not_grow_with_the_calls() -> None:
    """Prompts, tenants, models and templates without end, one after the other."""
    queue = Dispatcher(SchedulerConfig())
    inner = queue._queue
    for number in range(3000):
        one = job(
            f"m{number}" if number % 2 else "m",
            prefix=prefix_of([f"{number} " * 300]),
            tenant=f"t{number}",
            template=number,
            deadline=1e12 if number % 3 else None,
        )
        queue.enter(one).end(REPLY)
    assert len(inner._models) <= 300
    assert len(inner._residents._loaded) <= 300
    assert len(inner._residents._quickest) <= 300
    assert len(inner._shares._counters) <= 300
    model = inner._models["m"]
    assert len(model.slots._slots) <= 1
    assert len(model.forecast._said) <= 600
    nothing_is_left(queue)


def test_settings_that_change_leave_nothing_of_what_is_in_flight() -> None:
    queue = Dispatcher(SchedulerConfig())
    hold = queue.enter(job())
    queue.configure(SchedulerConfig(num_parallel=2))
    hold.end(REPLY)
    nothing_is_left(queue)


def test_models_whose_replies_say_nothing_are_sent_as_without_a_queue(counter: Counter) -> None:
    """Another server, or streams that are left early: it is not learned that both are loaded."""
    queue = counter.queue(None)
    for model in "ab":
        hold = queue.enter(job(model))
        hold.job.answered = True
        hold.end(None)
    holds = [queue.enter(job(model)) for model in "abab"]
    assert (waiting(queue), flying(queue)) == (0, 4)
    for hold in holds:
        hold.end(None)


@pytest.mark.usefixtures("impatient")
def test_a_slot_is_found_that_nobody_left_word_of(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """An interruption in a finalizer is swallowed with all that it had to do."""
    queue = counter.queue()
    with monkeypatch.context() as patched:
        patched.setattr(Hold, "__del__", lambda _: None)
        queue.enter(job())
    assert flying(queue) == 1
    passes(queue)
    assert caplog.records == []


def test_a_hold_ends_once(counter: Counter) -> None:
    queue = counter.queue(2)
    one, two = queue.enter(job()), queue.enter(job())
    threads = [start(partial(one.end, REPLY)) for _ in range(16)]
    done(threads)
    assert flying(queue) == 1
    two.end(Reply(0, 0, 0, 0, 0, 0))


@pytest.mark.usefixtures("impatient")
def test_those_that_wait_look_around_without_pause(counter: Counter) -> None:
    """The moment between a look and the wait for the next one is no gap."""
    queue = counter.queue(2)

    def work() -> None:
        for _ in range(20):
            passes(queue)

    async def tasks() -> None:
        await asyncio.gather(*(apasses(queue) for _ in range(40)))

    done([start(work) for _ in range(8)] + [start(partial(run, tasks)) for _ in range(2)])
    assert dispatch.PATIENCE_S < 0.1
