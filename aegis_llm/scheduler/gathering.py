"""Calls of many callers, sent together by one of them.

One `Gathering` serves threads and tasks of any event loop, and has no thread of its own: whoever
waits and is told so sends the batch (its leader), as soon as `batching.Gather` says.

Traps that shape this code: a batch that a task sends runs as a task of its own, so that
cancelling the leader cancels nobody else, and is cancelled when nobody wants it any more; a
leader that is cancelled before it sent hands over; a blocking call on an event loop's thread
never waits, since the leader may be a task of that loop; a batch with a thread in it is sent by a
thread, so that no thread waits for a task, which may need that very thread; no task waits for one
whose loop is closed or gives no sign of life, since it may be blocked until that very caller is
done; results travel as values, since a future takes no StopIteration.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from aegis_llm.batching.gather import Gather
from aegis_llm.scheduler.batches import ALONE, Alone, Batch, Batches, Waiter
from aegis_llm.scheduler.beats import lives

T = TypeVar("T")
R = TypeVar("R")
_PATIENCE_S = 1.0  # between two looks at the leader's loop, and for its sign of life

__all__ = ["ALONE", "Alone", "Gathering"]


class Gathering(Generic[T, R]):
    """Makes one call of `send` or `asend` from the calls of many.

    A caller alone waits for nothing: it sends its item itself, with no other thread or task
    involved. When a sender raises with several items, each caller sends its own again, by itself,
    so that an item that fails fails for its caller only; the sender can spare them that by
    returning exceptions in the place of results. A blocking call on the thread of a running event
    loop is sent by itself at once. When all callers of a batch were cancelled, so is its `asend`.

    Args:
        send: Returns for each item its result or its exception, in their order. `ALONE`, or an
            exception that is no `Exception`, lets the caller send its item by itself.
        asend: Like `send`, awaited. Either of them may get the items of threads and of tasks.
        window_s: Longest wait for others, in seconds.
        max_batch: Most items of one batch.
        max_in_flight: Batches under way from which on items are gathered.
        always: Gather even while nothing is under way.
        key: Items of different keys are never sent together and do not wait for each other.
    """

    def __init__(
        self,
        send: Callable[[list[T]], Sequence[R | BaseException]],
        asend: Callable[[list[T]], Awaitable[Sequence[R | BaseException]]],
        *,
        window_s: float = 0.05,
        max_batch: int = 32,
        max_in_flight: int = 1,
        always: bool = False,
        key: Callable[[T], Hashable] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._asend = asend
        self._key = key or _any
        gather: Callable[[], Gather[Waiter[T]]] = partial(
            Gather,
            window_s=window_s,
            max_batch=max_batch,
            max_in_flight=max_in_flight,
            always=always,
        )
        self._batches: Batches[T] = Batches(gather, monotonic)

    @property
    def waiting(self) -> int:
        """How many calls are gathered and not sent yet."""
        return self._batches.waiting

    def call(self, item: T) -> R:
        """Return the result of an item, sent with those of others."""
        if asyncio._get_running_loop() is not None:
            return self._alone(item)
        waiter = Waiter(item, None)
        try:
            batch = self._batches.enter(waiter, self._key(item))
            turn = self._turn(waiter) if batch is None else batch
            if isinstance(turn, Batch):
                turn = self._lead(turn, waiter)
        except BaseException:  # Ctrl-C while waiting, too
            self._batches.leave(waiter, collected=False)
            raise
        return self._alone(item) if turn is ALONE else _result(turn)

    async def acall(self, item: T) -> R:
        """Like `call`, awaited."""
        waiter = Waiter(item, asyncio.get_running_loop())
        try:
            batch = self._batches.enter(waiter, self._key(item))
            turn = await self._aturn(waiter) if batch is None else batch
            if isinstance(turn, Batch):
                turn = await self._alead(turn, waiter)
        except BaseException as exc:
            self._batches.leave(waiter, collected=isinstance(exc, GeneratorExit))
            if isinstance(exc, asyncio.CancelledError):
                await _ended(waiter)
            raise
        return await self._aalone(item) if turn is ALONE else _result(turn)

    def _turn(self, waiter: Waiter[T]) -> Any:
        """Wait; return the batch to send, or what became of the item."""
        while not waiter.told:
            waiter.wait(self._batches.pause(waiter, _PATIENCE_S))
            if (batch := self._batches.look(waiter)) is not None:
                return batch
        return waiter.turn

    async def _aturn(self, waiter: Waiter[T]) -> Any:
        while not waiter.told:
            seconds = self._batches.pause(waiter, _PATIENCE_S)
            await waiter.await_(seconds)
            if (batch := self._batches.look(waiter)) is not None:
                return batch
            if seconds < _PATIENCE_S or waiter.batch is None:
                continue
            alive = await lives(waiter.batch.leader.loop, _PATIENCE_S)
            if not alive and self._batches.step_out(waiter):
                return ALONE
        return waiter.turn

    def _lead(self, batch: Batch[T], leader: Waiter[T]) -> R | BaseException:
        """Send a batch, tell everybody, and return what became of the leader's own item."""
        outcomes: list[R | BaseException] | None = None
        try:
            waiters = self._batches.begin(batch)
            outcomes = _outcomes(self._send([waiter.item for waiter in waiters]), len(waiters))
        except Exception:
            if len(batch.sent) <= 1:
                raise
            return ALONE
        finally:
            self._batches.settle(batch, outcomes)
        return outcomes[waiters.index(leader)]

    async def _alead(self, batch: Batch[T], leader: Waiter[T]) -> R | BaseException:
        waiters = self._batches.begin(batch)
        if len(waiters) > 1:
            batch.task = asyncio.get_running_loop().create_task(self._aperform(batch))
            told: R | BaseException = await self._aturn(leader)
            return told
        try:
            outcomes = _outcomes(await self._asend([leader.item]), 1)
        except GeneratorExit:
            self._batches.leave(batch, collected=True)
            raise
        except BaseException:
            self._batches.settle(batch, None)
            raise
        self._batches.settle(batch, outcomes)
        return outcomes[0]

    async def _aperform(self, batch: Batch[T]) -> None:
        items = [waiter.item for waiter in batch.sent]
        try:
            outcomes = _outcomes(await self._asend(items), len(items))
        except GeneratorExit:
            self._batches.leave(batch, collected=True)
            raise
        except BaseException as exc:
            self._batches.settle(batch, None)
            if not isinstance(exc, Exception):
                raise
        else:
            self._batches.settle(batch, outcomes)

    def _alone(self, item: T) -> R:
        return _result(_outcomes(self._send([item]), 1)[0])

    async def _aalone(self, item: T) -> R:
        return _result(_outcomes(await self._asend([item]), 1)[0])


def _outcomes(results: Sequence[R | BaseException], count: int) -> list[R | BaseException]:
    """Return what becomes of each item; what is no error of an item leaves it to its caller."""
    if len(results) != count:
        msg = f"{count} items were sent together and {len(results)} results came back"
        raise ValueError(msg)
    if count == 1:
        return list(results)
    return [
        ALONE if isinstance(one, BaseException) and not isinstance(one, Exception) else one
        for one in results
    ]


def _result(outcome: R | BaseException) -> R:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _any(_: object) -> None:
    """All items have the same key."""


async def _ended(waiter: Waiter[Any]) -> None:
    """Wait for the end of a batch that was cancelled because its last caller was."""
    batch = waiter.batch
    if batch is None or batch.task is None or batch.waiters or batch.task.done():
        return
    if batch.task.get_loop() is waiter.loop:
        await asyncio.wait([batch.task])
