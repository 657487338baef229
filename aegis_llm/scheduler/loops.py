"""One object for each running event loop, closed when its loop ends."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes `T` once for each event loop that asks for it, so that a second `asyncio.run` works.

    The object is closed by `loop.shutdown_asyncgens()`, which `asyncio.run` calls at its end: an
    async generator that waits on the loop is finished there, and its `finally` closes the object.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        self._make = make
        self._close = close
        self._by_loop: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[T, AsyncIterator[None]]
        ] = weakref.WeakKeyDictionary()

    async def get(self) -> T:
        """Return the object of the running loop."""
        held = self._by_loop.get(asyncio.get_running_loop())
        return held[0] if held is not None else await self._open()

    async def aclose(self) -> None:
        """Close the object of the running loop."""
        held = self._by_loop.pop(asyncio.get_running_loop(), None)
        if held is not None:
            await held[1].aclose()  # type: ignore[attr-defined]

    async def _open(self) -> T:
        made = self._make()
        keeper = self._keep(made)
        self._by_loop[asyncio.get_running_loop()] = (made, keeper)
        await anext(keeper)
        return made

    async def _keep(self, made: T) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._by_loop.pop(asyncio.get_running_loop(), None)
            with contextlib.suppress(Exception):
                await self._close(made)
