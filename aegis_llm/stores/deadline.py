"""A deadline for an awaited call that does not mistake a busy event loop for a slow server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_TICKS = 5


class _Deadline:
    """Cancels the current task after `_TICKS` ticks that together make the time.

    A tick is set when the one before it was noticed, so each is one turn of the loop at least. On
    an idle loop the ticks take the time exactly; on a loop that is busy with other tasks they take
    longer, and so does the reply, whose fault it is not.
    """

    __slots__ = ("_before", "_expired", "_handle", "_left", "_loop", "_task", "_tick")

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "a deadline needs a task"  # noqa: S101
        self._task = task
        self._before = task.cancelling()
        self._tick = seconds / _TICKS
        self._left = _TICKS
        self._expired = False
        self._handle = self._loop.call_later(self._tick, self._fire)

    def _fire(self) -> None:
        self._left -= 1
        if self._left:
            self._handle = self._loop.call_later(self._tick, self._fire)
        else:
            self._expired = True
            self._task.cancel()

    def take_back(self) -> bool:
        """Undo the cancellation; return whether there was one, and none of anybody else's."""
        if not self._expired:
            return False
        self._expired = False
        return self._task.uncancel() <= self._before

    @property
    def spent(self) -> float:
        """The part of the time that is over, from 0 to 1; the loop's own delays do not count."""
        return 1 - self._left / _TICKS

    def end(self) -> None:
        """Leave nothing behind, also when the call swallowed the cancellation."""
        self._handle.cancel()
        self.take_back()


async def within(
    seconds: float, call: Awaitable[T], took: Callable[[float], None] | None = None
) -> T:
    """Await `call` for at most `seconds` of an idle loop; tell `took` how many it needed.

    Raises:
        TimeoutError: The time was up; the call was cancelled.
    """
    deadline = _Deadline(seconds)
    try:
        result = await call
    except asyncio.CancelledError as exc:
        if deadline.take_back():
            raise TimeoutError from exc
        raise
    else:
        if took is not None:
            took(seconds * deadline.spent)
        return result
    finally:
        deadline.end()
