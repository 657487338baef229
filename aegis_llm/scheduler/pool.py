"""A small pool of daemon threads, so that a call that never returns cannot hold up the exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from aegis_llm.errors import Trouble

_IDLE_S = 10.0
_GIVEN_UP = 16  # threads that may hang for ever while others took their places
_PATIENCE_S = 3600.0


def wait(future: Future[Any], seconds: float, late: Trouble) -> Any:
    """Return the future's result; raise a trouble like `late` when it takes longer."""
    try:
        return future.result(seconds)
    except FutureTimeoutError:
        raise type(late)(late.reason) from None


async def await_(future: Future[Any], seconds: float, late: Trouble) -> Any:
    """Like `wait`, awaited; the future itself goes on when the caller is cancelled."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await done.wait()
    if not future.done():
        raise type(late)(late.reason)
    return future.result()


class DaemonPool:
    """At most `size` daemon threads, started when needed; survives a fork by starting afresh.

    `concurrent.futures.ThreadPoolExecutor` waits for its threads when the interpreter ends; an
    embedder without a timeout would then hang the program. A thread ends when it had nothing to do
    for `idle_s`, or when its pool was collected.

    Args:
        name: What the names of the threads begin with.
        size: Most threads that work at once.
        idle_s: How long a thread waits for work.
        give_up_s: How long a job may hold its thread while others wait for one; then another
            thread is started instead, after twice as long the next, at most sixteen.
    """

    def __init__(
        self, name: str, size: int, idle_s: float = _IDLE_S, give_up_s: float | None = None
    ) -> None:
        self._terms = (name, size, idle_s, give_up_s)
        self._reset()

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `call(*args)` in a thread of the pool and return its future."""
        if self._pid != os.getpid():
            self._end.detach()
            self._reset()
        future: Future[Any] = Future()
        self._crew.add((future, call, args))
        return future

    def relieve(self) -> None:
        """Start a thread for the jobs that wait, if one that hangs may be given up."""
        if self._pid == os.getpid():
            self._crew.relieve()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._crew = _Crew(*self._terms)
        self._end = weakref.finalize(self, self._crew.dismiss)
        self._end.atexit = False


class _Crew:
    """The threads of a pool and their work; knows no pool, which can so be collected."""

    def __init__(self, name: str, size: int, idle_s: float, give_up_s: float | None) -> None:
        self._name = name
        self._size = size
        self._idle_s = idle_s
        self._give_up_s = give_up_s
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.idle = 0
        self._jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._busy: dict[threading.Thread, float] = {}
        self._pending = 0
        self._given_up = 0
        self._started = 0

    def add(self, job: tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]) -> None:
        with self.lock:
            self._pending += 1
            try:
                self._staff()
            except BaseException:
                self._pending -= 1
                raise
        self._jobs.put(job)

    def relieve(self) -> None:
        with self.lock:
            self._staff()

    def dismiss(self) -> None:
        """End the threads; called by garbage collection, also while the lock is held."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _staff(self) -> None:
        if self._pending <= self.idle:
            return
        if len(self.threads) >= self._size and not self._gave_one_up():
            return
        name = f"{self._name}-{self._started}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._started += 1
        self.threads.append(thread)

    def _gave_one_up(self) -> bool:
        if self._give_up_s is None or self._given_up >= _GIVEN_UP or not self._busy:
            return False
        patience = min(self._give_up_s * 2**self._given_up, _PATIENCE_S)
        longest = min(self._busy, key=self._busy.__getitem__)
        if time.monotonic() - self._busy[longest] < patience:
            return False
        del self._busy[longest]
        self.threads.remove(longest)
        self._given_up += 1
        return True

    def _work(self) -> None:
        me = threading.current_thread()
        with self.lock:
            self.idle += 1
        while (job := self._next(me)) is not None:
            _run(*job)
            del job  # nothing of it is kept alive while the thread waits
            with self.lock:
                if self._busy.pop(me, None) is None:  # given up: another took the place
                    self._given_up -= 1
                    return
                self.idle += 1

    def _next(self, me: threading.Thread) -> Any:
        while True:
            job = late = None
            try:
                job = self._jobs.get(timeout=self._idle_s)
            except queue.Empty:
                late = True
            with self.lock:
                if late and self._pending:  # it is on its way
                    continue
                self.idle -= 1
                if job is None:
                    self.threads.remove(me)
                else:
                    self._pending -= 1
                    self._busy[me] = time.monotonic()
                return job


def _run(future: Future[Any], call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            result = call(*args)
        except BaseException as exc:  # noqa: BLE001 - it belongs to whoever waits
            future.set_exception(exc)
        else:
            future.set_result(result)
