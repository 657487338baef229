"""One model stream read by several callers at once, each at its own pace.

The blocking stream is pulled by whichever reader needs the next item; the awaited one by a task
of its own. When the last reader leaves early, the model's stream is closed, which stops the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

T = TypeVar("T")
ENDED: Final = "ended"
LEFT: Final = "left"
End: TypeAlias = Literal["ended", "left"] | BaseException


class SharedStream(Generic[T]):
    """A blocking stream with many readers.

    `finish(items, end)` is called once, with all items so far and how the stream ended: `ENDED`,
    the error it failed with, or `LEFT` when the last reader left early.
    """

    def __init__(
        self,
        upstream: Iterator[T],
        finish: Callable[[list[T], End], None],
    ) -> None:
        self._upstream = upstream
        self._finish = finish
        self._items: list[T] = []
        self._changed = threading.Condition()
        self._readers = 0
        self._pulling = False
        self._given_up = False
        self._over = False
        self._error: BaseException | None = None

    def attach(self) -> Reader[T] | None:
        """Return a reader from the first item on, or None when the stream failed or was left."""
        with self._changed:
            if self._given_up or self._error is not None:
                return None
            self._readers += 1
        return Reader(self._read())

    def _read(self) -> Generator[T, None, None]:
        place = 0
        try:
            yield None  # type: ignore[misc]  # started by Reader, so that `finally` always runs
            while self._wait_for(place):
                yield self._items[place]
                place += 1
        finally:
            self._leave()

    def _wait_for(self, place: int) -> bool:
        """Return whether there is an item at `place`, pulling it if nobody else does."""
        while True:
            with self._changed:
                while place >= len(self._items) and not self._over and self._pulling:
                    self._changed.wait()
                if place < len(self._items):
                    return True
                if self._over:
                    if self._error is not None:
                        raise self._error
                    return False
                self._pulling = True
            self._pull()

    def _pull(self) -> None:
        error: BaseException | None = None
        ended = False
        try:
            item = next(self._upstream)
        except StopIteration:
            ended = True
        except BaseException as exc:  # noqa: BLE001 - raised again in every reader
            error = exc
        else:
            with self._changed:
                self._items.append(item)
        try:
            if ended or error is not None:
                self._finish(self._items, ENDED if error is None else error)
        finally:
            with self._changed:
                self._over = ended or error is not None
                self._error = error
                self._pulling = False
                self._changed.notify_all()

    def _leave(self) -> None:
        with self._changed:
            self._readers -= 1
            last = not self._readers and not self._over
            self._given_up = self._given_up or last
        if last:
            try:
                close = getattr(self._upstream, "close", None)
                if close is not None:
                    close()
            finally:
                self._finish(self._items, LEFT)


class Reader(Iterator[T]):
    """A started generator: closing or losing it always runs its `finally`."""

    def __init__(self, read: Generator[T, None, None]) -> None:
        self._read = read
        next(read)

    def __next__(self) -> T:
        return next(self._read)

    def close(self) -> None:
        """Leave the stream."""
        self._read.close()


class AsyncSharedStream(Generic[T]):
    """An awaited stream with many readers on one event loop; see `SharedStream`.

    It is read ahead: the model's slot is not held by a reader that pauses.
    """

    def __init__(
        self,
        upstream: AsyncIterator[T],
        finish: Callable[[list[T], End], Awaitable[None]],
    ) -> None:
        self._upstream = upstream
        self._finish = finish
        self._items: list[T] = []
        self._readers = 0
        self._given_up = False
        self._ending = False
        self._over = False
        self._error: BaseException | None = None
        self._changed: asyncio.Future[None] | None = None
        self.loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def attach(self) -> bool:
        """Take a place as a reader, then call `read`; False when the stream failed or was left."""
        if self._given_up or self._error is not None:
            return False
        self._readers += 1
        if self._task is None:
            self._task = self.loop.create_task(self._pump())
        return True

    async def read(self) -> AsyncGenerator[T, None]:
        """Yield every item from the first on."""
        place = 0
        try:
            while True:
                while place < len(self._items):
                    item = self._items[place]
                    place += 1
                    yield item
                if self._over:
                    break
                if self._changed is None:
                    self._changed = self.loop.create_future()
                await asyncio.shield(self._changed)
            if self._error is not None:
                raise self._error
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Give up a place; the last reader to leave early stops the model."""
        self._readers -= 1
        if self._readers or self._task is None:
            return
        if not self._ending:
            self._given_up = True
            self._task.cancel()
        if not self._task.done():
            await asyncio.wait([self._task])

    async def _pump(self) -> None:
        end: End = ENDED
        try:
            async for item in self._upstream:
                self._items.append(item)
                self._wake()
        except asyncio.CancelledError as exc:
            end = exc if self._readers else LEFT
            await _close(self._upstream)
        except BaseException as exc:  # noqa: BLE001 - raised again in every reader
            end = exc
        self._ending = True
        try:
            await self._finish(self._items, end)
        finally:
            self._over = True
            self._error = end if isinstance(end, BaseException) else None
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)


async def _close(stream: Any) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        with contextlib.suppress(Exception):
            await close()
