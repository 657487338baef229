"""A deadline for an awaited call that does not mistake a busy event loop for a slow server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class _Deadline:
    """Cancels the current task when the time is up, unless the loop itself was late.

    When the loop was blocked, the timer and the reply are noticed in the same turn, and the timer
    would win: such a timer is set again instead.
    """

    __slots__ = ("_handle", "_loop", "_seconds", "_task", "_when", "expired")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "a deadline needs a task"  # noqa: S101
        self._task = task
        self._seconds = seconds
        self.expired = False
        self._set()

    def _set(self) -> None:
        self._when = self._loop.time() + self._seconds
        self._handle = self._loop.call_at(self._when, self._fire)

    def _fire(self) -> None:
        if self._loop.time() - self._when > self._seconds / 4:
            self._set()
            return
        self.expired = True
        self._task.cancel()

    def cancel(self) -> None:
        self._handle.cancel()


async def within(seconds: float, call: Awaitable[T]) -> T:
    """Await `call` for at most `seconds`.

    Raises:
        TimeoutError: The time was up; the call was cancelled.
    """
    deadline = _Deadline(seconds)
    try:
        return await call
    except asyncio.CancelledError as exc:
        if deadline.expired and asyncio.current_task().uncancel() <= 0:  # type: ignore[union-attr]
            raise TimeoutError from exc
        raise
    finally:
        deadline.cancel()
