"""Whether an event loop gives a sign of life, so that nobody waits for ever for a task of it."""

from __future__ import annotations

import asyncio
import contextlib
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
