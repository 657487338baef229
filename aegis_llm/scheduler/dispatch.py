"""The queue of one server, for threads and for tasks of any event loop.

No thread of its own: whoever submits a request, ends one, or waits too long moves the queue on.
Traps that shape this code: a caller that is cancelled, or whose loop has ended, in the moment it
is let in must not keep a slot; a blocking call on an event loop's thread never waits, since the
slot may be held by a task of that loop; nor for long a thread that such a task needs (a name to
look up), nor anybody for a loop that stands still, since it may be blocked by the one who waits;
a stream that nobody reads must not keep its slot, so the others have it read ahead; garbage
collection may end a stream or a task in the very thread that has the lock, or any other that the
lock's owner wants, so whoever is done never waits for the lock: it leaves word, which the owner
heeds before it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import TypeVar

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.placing import Load
from aegis_llm.batching.queue import Queue
from aegis_llm.batching.state import QueueState
from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import QueueFullError, QueueTimeoutError
from aegis_llm.scheduler.beats import Pulse, is_exhausted, needs_thread
from aegis_llm.scheduler.forks import renew_in_child

log = logging.getLogger("aegis_llm")
PATIENCE_S = 1.0  # between two looks at whether those that hold slots are still there
GRACE_S = 2.0  # how long a loop may stand still before its requests are taken for lost

T = TypeVar("T")
Loop = asyncio.AbstractEventLoop


class Hold:
    """A request that is in flight; its slot is free again after `end`, or when nobody holds it."""

    def __init__(self, dispatcher: Dispatcher, job: Job, loop: Loop | None) -> None:
        self._dispatcher = dispatcher
        self.job = job
        self.loop = loop
        self.pulse = None if loop is None else Pulse(loop)
        self._read_ahead: weakref.WeakMethod[Callable[[], None]] | None = None

    @property
    def queued_s(self) -> float:
        """Seconds for which the request waited here before it was sent."""
        return self.job.sent - self.job.arrived

    def end(self, reply: Reply | None = None) -> None:
        """Give the slot back, once; `reply` says what the request took."""
        self._dispatcher.ended(self, reply)

    def on_wait(self, read_ahead: Callable[[], None]) -> None:
        """Have a method called as soon as others wait: it must not block."""
        self._read_ahead = weakref.WeakMethod(read_ahead)
        if self._dispatcher.crowded:
            self.others_wait()

    def others_wait(self) -> None:
        """Have the stream read ahead, if it is one."""
        read_ahead = None if self._read_ahead is None else self._read_ahead()
        if read_ahead is None:
            return
        try:
            read_ahead()
        except Exception as exc:  # it is no business of the caller that comes
            log.error("a stream could not be read ahead", exc_info=exc)

    def __del__(self) -> None:
        self._dispatcher.lost(self.job)


class _Place(Future[Hold]):
    """A caller that waits."""

    def __init__(self, job: Job, loop: Loop | None) -> None:
        super().__init__()
        self.job = job
        self.loop = loop
        self.thread = threading.current_thread().name
        self.since = 0.0
        self.set_running_or_notify_cancel()


class Dispatcher:
    """Lets requests to one server in, in the order that the queue decides."""

    def __init__(
        self,
        config: SchedulerConfig,
        server: str = "the server",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = server
        self.config = config
        self._now = monotonic
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget all requests: a forked child has none of their callers."""
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._queue = Queue(self.config, self.server)
        self._places: dict[Job, _Place] = {}
        self._let_in: dict[Job, _Place] = {}
        self._holds: dict[Job, weakref.ref[Hold]] = {}
        self._words: deque[tuple[Job, Reply | None]] = deque()
        self._looked_at = -math.inf

    @property
    def crowded(self) -> bool:
        """Whether requests wait."""
        return bool(self._places)

    @property
    def busy(self) -> int:
        """How many requests wait or are in flight."""
        return len(self._places) + len(self._holds)

    def state(self) -> QueueState:
        """Return what is to be seen of the queue."""
        return self._ask(self._queue.state)

    def enter(self, job: Job, *, may_wait: bool = True) -> Hold:
        """Wait for a slot; the request is in flight then, at once where it may not wait.

        Raises:
            QueueFullError: As many requests wait as may.
            QueueTimeoutError: No slot came free in time.
        """
        on_loop = asyncio._get_running_loop() is not None
        place = _Place(job, None)
        try:
            self._submit(place, may_wait=may_wait and not on_loop)
            while not place.done():
                self._step(place)
                try:
                    place.result(self._pause(place))
                except FutureTimeoutError:
                    self._tend(place)
            return self._seated(place)
        except BaseException:
            self._over(job)
            raise

    async def aenter(self, job: Job, *, may_wait: bool = True) -> Hold:
        """Like `enter`, awaited."""
        place = _Place(job, asyncio.get_running_loop())
        try:
            self._submit(place, may_wait=may_wait)
            done = None if place.done() else asyncio.wrap_future(place)
            while done is not None and not place.done():
                self._step(place)
                await asyncio.wait([done], timeout=self._pause(place))
                if not place.done():
                    self._tend(place)
            return self._seated(place)
        except BaseException:
            self._over(job)
            raise

    def ended(self, hold: Hold, reply: Reply | None) -> None:
        """Note that a request is over; see `Hold.end`."""
        self._over(hold.job, reply)

    def lost(self, job: Job) -> None:
        """Note that nobody holds a request any more; called by garbage collection, anywhere."""
        if job in self._holds:
            self._over(job)

    def load(self, model: str) -> Load:
        """Return how busy the server is, seen from one model."""
        return self._ask(partial(self._queue.load, model))

    def configure(self, config: SchedulerConfig) -> None:
        """Change the settings; what waits and what was measured stays."""
        with self._turn():
            self.config = config
            self._queue.configure(config)
            self._move()

    def went_away(self) -> None:
        """Note that the server cannot be reached."""
        with self._turn():
            self._queue.went_away()

    def family_has(self, model: str, slots: int) -> None:
        """Note how many slots the server gives to models of this family."""
        with self._turn():
            self._queue.family_has(model, slots)

    def expected_wait(self, model: str) -> float:
        """Return the seconds after which one more request may be sent; 0: nothing is known."""
        return self._ask(partial(self._queue.expected_wait, model))

    def _submit(self, place: _Place, *, may_wait: bool) -> None:
        job, place.since = place.job, self._now()
        if job.deadline is not None and job.deadline <= place.since:
            raise self._too_late("its deadline has passed")
        crowded: list[Hold] = []
        with self._turn():
            self._places[job] = place
            try:
                self._queue.submit(job, place.since)
            except QueueFullError:
                del self._places[job]
                raise
            self._move()
            if not place.done():
                if may_wait:
                    crowded = self._holding()
                else:
                    self._overdraw(place)
        for hold in crowded:
            hold.others_wait()

    def _over(self, job: Job, reply: Reply | None = None) -> None:
        """Give up the place or the slot of a request, in a moment; never waits for the lock."""
        self._words.append((job, reply))
        self._heed()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Have the lock, and heed what word was left for meanwhile."""
        try:
            with self._lock, self._mending():
                yield
        finally:
            self._heed()

    def _ask(self, question: Callable[[], T]) -> T:
        """Return what the queue says."""
        with self._lock:
            said = question()
        self._heed()
        return said

    def _heed(self) -> None:
        """Do what word was left for, unless somebody has the lock, who does it afterwards."""
        mine = True
        while self._words and mine:
            mine = False
            try:
                mine = self._lock.acquire(blocking=False)
                if mine:
                    with self._mending():
                        self._move()
            finally:
                if mine:
                    self._lock.release()

    def _end(self, job: Job, reply: Reply | None = None) -> None:
        """Free the place or the slot of a request, once; the lock is held."""
        self._let_in.pop(job, None)
        if self._places.pop(job, None) is not None:
            self._queue.leave(job)
        elif self._holds.pop(job, None) is not None:
            self._queue.done(job, self._now(), reply)

    def _holding(self) -> list[Hold]:
        """Return what is in flight; the lock is held."""
        return [hold for ref in list(self._holds.values()) if (hold := ref()) is not None]

    def _move(self) -> None:
        """Heed what word was left for, and let in whoever the queue says; the lock is held."""
        while True:
            while self._words:
                self._end(*self._words.popleft())
            next_one = self._queue.next(self._now())
            if next_one is None:
                return
            self._admit(self._places.pop(next_one))

    @contextlib.contextmanager
    def _mending(self) -> Iterator[None]:
        """Begin anew when the queue itself fails; all that wait are sent, as without it."""
        try:
            yield
        except QueueFullError:
            raise
        except BaseException as exc:
            waiting = list(self._places.values())
            self._forget()
            for place in waiting:
                if not place.done():
                    place.set_result(Hold(self, place.job, place.loop))
            if not isinstance(exc, Exception):  # Ctrl-C, in the midst of a decision
                raise
            log.error("the queue of %s failed and begins anew", self.server, exc_info=exc)

    def _admit(self, place: _Place) -> None:
        job, loop = place.job, place.loop
        if loop is not None and loop.is_closed():
            self._queue.done(job, self._now())
            return
        if loop is not None:
            self._let_in[job] = place
        hold = Hold(self, job, loop)
        self._holds[job] = weakref.ref(hold)
        place.set_result(hold)

    def _overdraw(self, place: _Place) -> None:
        """Let a caller in that must not wait, although no slot is free; the lock is held."""
        if self._places.pop(place.job, None) is not None:
            self._queue.push(place.job, self._now())
            self._admit(place)

    def _seated(self, place: _Place) -> Hold:
        """Take up the slot, unless it was given to another meanwhile."""
        hold = place.result()
        self._let_in.pop(place.job, None)
        return hold

    def _pause(self, place: _Place) -> float:
        """Return how long to wait before the next look."""
        now = self._now()
        due = self._queue.due_at()
        ends = [place.job.deadline, self._timeout_at(place), due]
        return max(0.0, min([PATIENCE_S, *(end - now for end in ends if end is not None)]))

    def _step(self, place: _Place) -> None:
        """Raise when the caller has waited too long."""
        now = self._now()
        deadline, timeout = place.job.deadline, self._timeout_at(place)
        if deadline is not None and now >= deadline:
            raise self._too_late("its deadline has passed")
        if timeout is not None and now >= timeout:
            raise self._too_late("queue_timeout_s has passed")

    def _timeout_at(self, place: _Place) -> float | None:
        seconds = self.config.queue_timeout_s
        return None if seconds is None else place.since + seconds

    def _too_late(self, why: str) -> QueueTimeoutError:
        return QueueTimeoutError(f"a request for {self.server} was not sent: {why}")

    def _tend(self, place: _Place) -> None:
        """See to it that nobody waits for what does not come."""
        with self._turn():
            now = self._now()
            if now - self._looked_at >= PATIENCE_S:  # however many wait
                self._looked_at = now
                for job in [job for job, ref in self._holds.items() if self._is_gone(ref(), now)]:
                    self._end(job)
            self._move()
            if place.done():
                return
            if place.job not in self._places:  # forgotten with a queue that failed
                place.set_result(Hold(self, place.job, place.loop))
            elif self._starves(place):
                self._overdraw(place)

    def _is_gone(self, hold: Hold | None, now: float) -> bool:
        """Return whether nobody has the slot, or a task whose loop does not go on."""
        if hold is None:
            return True
        if hold.pulse is None:
            return False
        grace = PATIENCE_S if hold.job in self._let_in else GRACE_S
        return hold.pulse.still_for(now) >= grace

    def _starves(self, place: _Place) -> bool:
        """Return whether a task that holds a slot may need the very thread that waits here."""
        return place.loop is None and any(
            not hold.job.answered
            and hold.loop is not None
            and needs_thread(hold.loop, place.thread)
            and is_exhausted(hold.loop)
            for hold in self._holding()
        )
