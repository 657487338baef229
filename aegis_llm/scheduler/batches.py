"""Who waits for which batch, and who of them sends it: what threads and tasks share.

Every change is made under one short lock; the senders run outside it. Whoever leaves is first put
down in `_left` and then seen to under the lock: garbage collection may close a coroutine in the
very thread that holds it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any, Generic, TypeAlias, TypeVar

from aegis_llm.batching.gather import Gather
from aegis_llm.scheduler.forks import renew_in_child

T = TypeVar("T")
Loop: TypeAlias = asyncio.AbstractEventLoop


class Alone(BaseException):
    """In the place of a result: the item's caller sends it by itself."""


ALONE = Alone()


class Waiter(Generic[T]):
    """A caller's place: a task of `loop`, or a blocked thread.

    It is told the batch that it has to send, or what became of its item. A task that sends a batch
    is told the second after the first.
    """

    __slots__ = ("_signal", "batch", "item", "line", "loop", "told", "turn")

    def __init__(self, item: T, loop: Loop | None) -> None:
        self.item = item
        self.loop = loop
        self.line: Line[T] | None = None
        self.batch: Batch[T] | None = None
        self.turn: Any = None
        self.told = False
        self._signal: Any = None

    def expect(self) -> None:
        """Get ready to be told, or to be told again; nobody is told before."""
        self.turn, self.told = None, False
        self._signal = threading.Event() if self.loop is None else self.loop.create_future()

    def tell(self, turn: Any) -> bool:
        """Wake the caller; return False when its loop is closed."""
        self.turn, self.told = turn, True
        if self._signal is None:
            return True
        if self.loop is None:
            self._signal.set()
        elif asyncio._get_running_loop() is self.loop:
            _wake(self._signal)
        else:
            try:
                self.loop.call_soon_threadsafe(_wake, self._signal)
            except RuntimeError:
                return False
        return True

    def wait(self, seconds: float) -> None:
        """Block until told, for at most `seconds`."""
        self._signal.wait(seconds)

    async def await_(self, seconds: float) -> None:
        """Like `wait`, awaited."""
        await asyncio.wait([self._signal], timeout=seconds)


class Line(Generic[T]):
    """The callers who may share a batch; `flying` are the loops of the batches under way."""

    __slots__ = ("flying", "gather", "home", "key")

    def __init__(
        self, key: Hashable, gather: Gather[Waiter[T]], home: dict[Hashable, Line[T]]
    ) -> None:
        self.key = key
        self.gather = gather
        self.home = home
        self.flying: dict[int, weakref.ref[Loop] | None] = {}


class Batch(Generic[T]):
    """What is sent together: `sent` once it is, to `waiters` as far as they are still there."""

    __slots__ = ("leader", "line", "number", "sent", "task", "waiters")

    def __init__(self, number: int, line: Line[T], waiters: list[Waiter[T]]) -> None:
        self.number = number
        self.line = line
        self.waiters = waiters
        self.leader = waiters[0]
        self.sent: list[Waiter[T]] = []
        self.task: asyncio.Task[None] | None = None


class Batches(Generic[T]):
    """The lines by their keys, each with a Gather that `make` makes."""

    def __init__(
        self, make: Callable[[], Gather[Waiter[T]]], monotonic: Callable[[], float]
    ) -> None:
        self._make = make
        self._now = monotonic
        self._numbers = count()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget everybody: of all callers a forked child has only the one that forked."""
        self._lock = threading.Lock()
        self._lines: dict[Hashable, Line[T]] = {}
        self._left: deque[Waiter[T] | Batch[T]] = deque()

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def waiting(self) -> int:
        """How many callers are gathered and not sent."""
        return sum(len(line.gather) for line in list(self._lines.values()))

    def enter(self, waiter: Waiter[T], key: Hashable) -> Batch[T] | None:
        """Let a caller wait; return the batch that it has to send now, if there is one."""
        with self._lock:
            self._see_to_those_who_left()
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = Line(key, self._make(), self._lines)
            elif line.flying:
                self._forget_closed_loops(line)
            waiter.line = line
            line.gather.add(waiter, self._now())
            self._send_ripe(line, waiter)
            batch = _to_lead(waiter)
            if batch is None and not waiter.told:
                waiter.expect()
            return batch

    def look(self, waiter: Waiter[T]) -> Batch[T] | None:
        """Send what is due by now; return the batch that this caller has to send, if any."""
        with self._lock:
            self._see_to_those_who_left()
            if waiter.line is not None and waiter.batch is None:
                self._send_ripe(waiter.line, waiter)
            return _to_lead(waiter)

    def pause(self, waiter: Waiter[T], patience: float) -> float:
        """Return for how long a caller may wait before it looks again."""
        with self._lock:
            if waiter.line is None or waiter.batch is not None:
                return patience
            due = waiter.line.gather.due_at()
            return patience if due is None else min(max(due - self._now(), 0.0), patience)

    def begin(self, batch: Batch[T]) -> list[Waiter[T]]:
        """Return those whose items are sent now."""
        with self._lock:
            batch.sent = list(batch.waiters)
            if len(batch.sent) > 1 and batch.leader.loop is not None:
                batch.leader.expect()
            return batch.sent

    def settle(self, batch: Batch[T], outcomes: Sequence[Any] | None) -> None:
        """Note that a batch is over, let the next ones go, and tell everybody their outcome.

        Without outcomes everybody calls for themselves. A thread that leads is not told.
        """
        with self._lock:
            sent = batch.sent or batch.waiters
            if not self._end(batch):
                return
        for waiter, outcome in zip(sent, outcomes or [ALONE] * len(sent), strict=True):
            if waiter is not batch.leader or batch.task is not None:
                waiter.tell(outcome)

    def leave(self, one: Waiter[T] | Batch[T], *, collected: bool) -> None:
        """Note that a caller wants nothing any more, or that a batch was lost with its loop."""
        self._left.append(one)
        if not collected:
            with self._lock:
                self._see_to_those_who_left()

    def step_out(self, waiter: Waiter[T]) -> bool:
        """Let go a caller whose leader gives no sign of life; False when it was told meanwhile."""
        with self._lock:
            if waiter.told or waiter.batch is None:
                return False
            waiter.batch.waiters.remove(waiter)
            self._forget_closed_loops(waiter.batch.line)
            return True

    def _see_to_those_who_left(self) -> None:
        while self._left:
            one = self._left.popleft()
            if isinstance(one, Batch):
                if self._end(one):
                    for waiter in one.waiters:
                        waiter.tell(ALONE)
            elif one.batch is not None:
                self._leave_batch(one, one.batch)
            elif one.line is not None and one.line.gather.remove(one):
                self._drop_if_idle(one.line)

    def _leave_batch(self, waiter: Waiter[T], batch: Batch[T]) -> None:
        if waiter in batch.waiters:
            batch.waiters.remove(waiter)
        if batch.sent:
            if not batch.waiters and batch.task is not None:
                cancel(batch.task)
        elif batch.leader is waiter:
            self._appoint(batch, None)

    def _send_ripe(self, line: Line[T], here: Waiter[T] | None) -> None:
        while waiters := line.gather.take(self._now()):
            batch = Batch(next(self._numbers), line, waiters)
            for waiter in waiters:
                waiter.batch = batch
            line.flying[batch.number] = None
            self._appoint(batch, here)

    def _appoint(self, batch: Batch[T], here: Waiter[T] | None) -> None:
        """Choose who sends a batch, and tell it, unless it is the caller that stands here.

        A thread if there is one: it is sure to run, and may be one of those that a task's sending
        needs. Else, if it can be, a task whose loop runs in this moment.
        """
        running = asyncio._get_running_loop()

        def rank(waiter: Waiter[T]) -> tuple[bool, bool, bool]:
            return waiter.loop is not None, waiter is not here, waiter.loop is not running

        several = len(batch.waiters) > 1
        for waiter in sorted(batch.waiters, key=rank) if several else batch.waiters[:]:
            batch.leader = waiter
            loop = waiter.loop
            batch.line.flying[batch.number] = None if loop is None else weakref.ref(loop)
            if waiter is here or waiter.tell(batch):
                return
            batch.waiters.remove(waiter)
        self._end(batch)

    def _end(self, batch: Batch[T]) -> bool:
        """Count a batch out and let the next ones go; False when it is no longer counted."""
        line = batch.line
        if line.home is not self._lines or batch.number not in line.flying:
            return False
        del line.flying[batch.number]
        self._came_back(line)
        return True

    def _forget_closed_loops(self, line: Line[T]) -> None:
        for number, loop in list(line.flying.items()):
            if loop is not None and ((at := loop()) is None or at.is_closed()):
                del line.flying[number]
                self._came_back(line)

    def _came_back(self, line: Line[T]) -> None:
        line.gather.done()
        self._send_ripe(line, None)
        self._drop_if_idle(line)

    def _drop_if_idle(self, line: Line[T]) -> None:
        if line.gather.idle and self._lines.get(line.key) is line:
            del self._lines[line.key]


def _wake(signal: asyncio.Future[None]) -> None:
    if not signal.done():
        signal.set_result(None)


def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task of any loop, from anywhere."""
    loop = task.get_loop()
    if asyncio._get_running_loop() is loop:
        task.cancel()
        return
    try:
        loop.call_soon_threadsafe(task.cancel)
    except RuntimeError:  # it is closed
        return


def _to_lead(waiter: Waiter[Any]) -> Batch[Any] | None:
    batch = waiter.batch
    return batch if batch is not None and batch.leader is waiter and not batch.sent else None
