"""A stream of a server that is read on when others wait for its slot, and its reader pauses.

The reader pulls the chunks itself as long as nobody waits, or it keeps pace. Only then somebody
else pulls as well, up to a bound; beyond that the slot is given up to those that wait, and the
server keeps the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from aegis_llm.scheduler.pool import DaemonPool

T = TypeVar("T")
PAUSE_S = 0.02  # after which a reader that does not ask for the next chunk is taken to pause
MOST_CHUNKS = 65_536

_pool = DaemonPool("aegis-read-ahead", 256)


class _Buffer(Generic[T]):
    """What was read and not yet taken, and the state that both kinds of streams share.

    `over` is called once, with the last item (None: there was none), when the stream has ended,
    broke, was left or went beyond the bound.
    """

    def __init__(self, begun: Iterable[T], over: Callable[[T | None], None]) -> None:
        self._over = over
        self.items = deque(begun)
        self.last = self.items[-1] if self.items else None
        self.pulling = False
        self.ended = False
        self.left = False
        self.error: BaseException | None = None
        self.asked_at = time.monotonic()
        self._told = False

    def got(self, item: T) -> None:
        """Keep an item until it is taken."""
        self.last = item
        self.items.append(item)

    def pause(self) -> None:
        """Note that the pull is over, whatever came of it."""
        self.pulling = False
        self.asked_at = time.monotonic()

    def finish(self, error: BaseException | None = None) -> None:
        """Note that nothing more comes."""
        self.ended = True
        self.error = error
        self.tell()

    def tell(self) -> None:
        """Tell that the slot is free, once, and what came last."""
        if not self._told:
            self._told = True
            self._over(self.last)

    def behind(self) -> bool:
        """Return whether the reader pauses."""
        return not self.pulling and time.monotonic() - self.asked_at >= PAUSE_S

    def full(self) -> bool:
        """Return whether as much was read ahead as may."""
        return len(self.items) >= MOST_CHUNKS


class ReadAhead(Iterator[T]):
    """A blocking stream, of which `begun` was read already; see the module.

    `cut` makes a pull that goes on in another thread end at once.
    """

    def __init__(
        self,
        begun: Iterable[T],
        upstream: Iterator[T],
        over: Callable[[T | None], None],
        cut: Callable[[Iterator[T]], None] | None = None,
    ) -> None:
        self._upstream = upstream
        self._buffer = _Buffer(begun, over)
        self._cut = cut
        self._context = copy_context()  # the reader's, not that of whoever waits
        self._changed = threading.Condition()
        self._helped = False

    def __next__(self) -> T:
        buffer = self._buffer
        while True:
            with self._changed:
                while not buffer.items and buffer.pulling:
                    self._changed.wait()
                if buffer.items:
                    return buffer.items.popleft()
                if buffer.ended:
                    error, buffer.error = buffer.error, None
                    raise error or StopIteration
                buffer.pulling = True
            self._pull()

    def close(self) -> None:
        """Leave the stream: the server stops, and the slot is free."""
        with self._changed:
            if self._buffer.left or self._buffer.ended:
                return
            self._buffer.left = True
            pulled = self._buffer.pulling
        if not pulled:
            self._close()
        elif self._cut is not None:  # who pulls closes it, as soon as something comes
            self._cut(self._upstream)

    def read_on(self) -> None:
        """Have the stream read by somebody else while its reader pauses; returns at once."""
        with self._changed:
            if self._helped or self._buffer.ended or self._buffer.left:
                return
            self._helped = True
        try:
            _pool.submit(self._context.run, self._help)
        except RuntimeError:  # there is no thread to be had, as at the end of the interpreter
            self._buffer.tell()

    def _help(self) -> None:
        buffer = self._buffer
        while True:
            with self._changed:
                while not (buffer.ended or buffer.left or buffer.behind()):
                    self._changed.wait(PAUSE_S)
                if buffer.ended or buffer.left:
                    return
                if buffer.full():
                    buffer.tell()
                    return
                buffer.pulling = True
            self._pull()

    def _pull(self) -> None:
        buffer = self._buffer
        end: BaseException | None = None
        item: Any = None
        try:
            item = next(self._upstream)
        except BaseException as exc:  # noqa: BLE001 - it belongs to the reader
            end = exc
        with self._changed:
            try:
                if end is None:
                    buffer.got(item)
                else:
                    buffer.finish(None if isinstance(end, StopIteration) else end)
            finally:
                buffer.pause()
                left = buffer.left and not buffer.ended
                self._changed.notify_all()
        if left:
            self._close()

    def _close(self) -> None:
        close = getattr(self._upstream, "close", None)
        try:
            with contextlib.suppress(Exception):  # nobody reads it any more
                if close is not None:
                    close()
        finally:
            self._buffer.finish(RuntimeError("the stream was closed"))

    def __del__(self) -> None:
        self._buffer.tell()


class AsyncReadAhead(AsyncIterator[T]):
    """An awaited stream, of which `begun` was read already; see the module."""

    def __init__(
        self, begun: Iterable[T], upstream: AsyncIterator[T], over: Callable[[T | None], None]
    ) -> None:
        self._upstream = upstream
        self._buffer = _Buffer(begun, over)
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._changed = asyncio.Event()
        self._helper: asyncio.Task[None] | None = None

    async def __anext__(self) -> T:
        buffer = self._buffer
        while True:
            if buffer.items:
                return buffer.items.popleft()
            if buffer.ended:
                error, buffer.error = buffer.error, None
                raise error or StopAsyncIteration
            if buffer.pulling:
                self._changed.clear()
                await self._changed.wait()
            else:
                buffer.pulling = True
                await self._pull()

    async def aclose(self) -> None:
        """Leave the stream: the server stops, and the slot is free."""
        buffer = self._buffer
        try:
            if self._helper is not None and not self._helper.done():
                self._helper.cancel()
                await asyncio.wait([self._helper])
        finally:  # also for a reader that is cancelled twice
            if not buffer.left and not buffer.ended:
                buffer.left = True
                await self._close()

    def read_on(self) -> None:
        """Have the stream read by a task while its reader pauses; from any thread, at once."""
        if self._helper is not None:
            return
        try:
            self._loop.call_soon_threadsafe(self._start, context=self._context)
        except RuntimeError:  # the loop has ended
            self._buffer.tell()

    def _start(self) -> None:
        if self._helper is None and not self._buffer.ended and not self._buffer.left:
            self._helper = self._loop.create_task(self._help())

    async def _help(self) -> None:
        buffer = self._buffer
        while not (buffer.ended or buffer.left):
            if not buffer.behind():
                await asyncio.sleep(PAUSE_S)
            elif buffer.full():
                buffer.tell()
                return
            else:
                buffer.pulling = True
                await self._pull()

    async def _pull(self) -> None:
        buffer = self._buffer
        try:
            buffer.got(await anext(self._upstream))
        except StopAsyncIteration:
            buffer.finish()
        except asyncio.CancelledError:
            buffer.left = True
            await self._close()
            raise
        except BaseException as exc:  # noqa: BLE001 - it belongs to the reader
            buffer.finish(exc)
        finally:
            buffer.pause()
            self._changed.set()

    async def _close(self) -> None:
        close: Any = getattr(self._upstream, "aclose", None)
        try:
            with contextlib.suppress(Exception):  # the end of a loop closes it as well
                if close is not None:
                    await close()
        finally:
            self._buffer.finish(RuntimeError("the stream was closed"))

    def __del__(self) -> None:
        self._buffer.tell()
