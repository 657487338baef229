"""Whether an event loop gives a sign of life, so that nobody waits for ever for a task of it.

`answers` asks for one and blocks, `lives` awaits it, a `Pulse` is looked at now and then. A thread
that a task of the loop needs must not wait for it either.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading


async def lives(loop: asyncio.AbstractEventLoop | None, patience_s: float) -> bool:
    """Return whether a loop runs what it is given; who has no loop is a thread, and lives."""
    here = asyncio.get_running_loop()
    if loop is None or loop is here:
        return True
    beat = asyncio.Event()

    def answer() -> None:
        with contextlib.suppress(RuntimeError):  # nobody waits any more: that loop was closed
            here.call_soon_threadsafe(beat.set)

    try:
        loop.call_soon_threadsafe(answer)
    except RuntimeError:  # it was closed
        return False
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            await beat.wait()
    return beat.is_set()


def answers(loop: asyncio.AbstractEventLoop | None, patience_s: float) -> bool:
    """Like `lives`, blocking."""
    if loop is None:
        return True
    beat = threading.Event()
    try:
        loop.call_soon_threadsafe(beat.set)
    except RuntimeError:  # it was closed
        return False
    return beat.wait(patience_s)


def needs_thread(loop: asyncio.AbstractEventLoop, thread: str) -> bool:
    """Return whether a thread of that name belongs to the executor that tasks of the loop need."""
    executor = getattr(loop, "_default_executor", None)
    prefix = getattr(executor, "_thread_name_prefix", "uvloop")  # uvloop hides its executor
    return thread.startswith(f"{prefix}_")


def is_exhausted(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether work waits for a thread of the loop's executor; True when that is unknown."""
    executor = getattr(loop, "_default_executor", None)
    waiting = getattr(executor, "_work_queue", None)
    return waiting is None or waiting.qsize() > 0


class Pulse:
    """Tells for how long a loop has stood still: stopped, closed, or blocked by a call."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked_at: float | None = None

    def still_for(self, now: float) -> float:
        """Return the seconds since a sign of life was asked for and did not come; asks again."""
        asked_at = self._asked_at
        if asked_at is None:
            asked_at = self._asked_at = now
            try:
                self._loop.call_soon_threadsafe(self._beat)
            except RuntimeError:  # it was closed
                asked_at = self._asked_at = -math.inf
        return now - asked_at

    def _beat(self) -> None:
        self._asked_at = None
