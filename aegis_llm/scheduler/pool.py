"""A small pool of daemon threads, so that a call that never returns cannot hold up the exit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from aegis_llm.errors import Trouble


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
    embedder without a timeout would then hang the program.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._reset()

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run `call(*args)` in a thread of the pool and return its future."""
        if self._pid != os.getpid():
            self._reset()
        future: Future[Any] = Future()
        with self._lock:
            self._pending += 1
            if len(self._threads) < self._size and self._pending > self._idle:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
        self._queue.put((future, call, args))
        return future

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._pending = 0
        self._idle = 0

    def _work(self) -> None:
        jobs, lock = self._queue, self._lock
        while True:
            with lock:
                self._idle += 1
            future, call, args = jobs.get()
            with lock:
                self._idle -= 1
                self._pending -= 1
            if future.set_running_or_notify_cancel():
                try:
                    result = call(*args)
                except BaseException as exc:  # noqa: BLE001 - it belongs to whoever waits
                    future.set_exception(exc)
                else:
                    future.set_result(result)
            del future, call, args
