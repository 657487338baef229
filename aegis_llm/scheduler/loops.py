"""One object for each running event loop, closed when its loop ends."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes `T` once for each event loop that asks for it, so that a second `asyncio.run` works.

    The object is closed by `loop.shutdown_asyncgens()`, which `asyncio.run` calls at its end: an
    async generator that waits on the loop is finished there, and its `finally` closes the object.
    Of a loop that was closed without it (notebooks do) the sockets are closed when the next loop
    asks: a connection keeps its loop alive, so nothing else would ever end it.

    Args:
        make: Makes an object.
        close: Closes one on its loop.
        streams: Gives up what an object whose loop was closed has open; each of these has a
            `get_extra_info("socket")`.
    """

    def __init__(
        self,
        make: Callable[[], T],
        close: Callable[[T], Awaitable[object]],
        streams: Callable[[T], Iterable[Any]] = lambda _: (),
    ) -> None:
        self._make = make
        self._close = close
        self._streams = streams
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
        self._sweep()
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

    def _sweep(self) -> None:
        for ref in self._by_loop.keyrefs():
            loop = ref()
            if loop is None or not loop.is_closed():
                continue
            held = self._by_loop.pop(loop, None)
            if held is not None:
                with contextlib.suppress(Exception):
                    for stream in self._streams(held[0]):
                        _sever(loop, stream)


def _sever(loop: asyncio.AbstractEventLoop, stream: Any) -> None:
    """Close a stream's socket; its transport cannot: it would ask the closed loop to do it."""
    raw = stream.get_extra_info("socket")
    if raw is None or raw.fileno() < 0:
        return
    transport = getattr(loop, "_transports", {}).get(raw.fileno())
    with contextlib.suppress(Exception):  # it marks itself as closed, and fails after that
        transport.close()  # type: ignore[union-attr]
    with contextlib.suppress(Exception):
        transport._call_connection_lost(None)  # type: ignore[union-attr]
    getattr(raw, "_sock", raw).close()
