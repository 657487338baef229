"""The queue of one server, for threads and for tasks of any event loop.

No thread of its own: whoever submits a request, ends one, or waits too long moves the queue on.
Traps that shape this code: a caller that is cancelled, or whose loop has ended, in the moment it
is let in must not keep a slot; a blocking call on an event loop's thread never waits, since the
slot may be held by a task of that loop; nor for long a thread that such a task needs (a name to
look up); a stream that nobody reads must not keep its slot, so the others have it read ahead;
garbage collection may end a hold in the very thread that has the lock, so it only leaves word.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.placing import Load
from aegis_llm.batching.queue import Queue
from aegis_llm.batching.state import QueueState
from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import QueueTimeoutError
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.loops import needs_thread

PATIENCE_S = 1.0  # between two looks at whether those that hold slots are still there
_GRACE_S = 5.0  # how long a loop may stand still before its requests are taken for lost

Loop = asyncio.AbstractEventLoop


class Hold:
    """A request that is in flight; its slot is free again after `end`, or when nobody holds it."""

    def __init__(self, dispatcher: Dispatcher, job: Job, loop: Loop | None) -> None:
        self._dispatcher = dispatcher
        self.job = job
        self.loop = loop
        self.still_since: float | None = None
        self._read_ahead: weakref.WeakMethod[Callable[[], None]] | None = None

    @property
    def answered(self) -> bool:
        """Whether the first part of the answer is there."""
        return self.job.answered

    @answered.setter
    def answered(self, answered: bool) -> None:
        self.job.answered = answered

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
            read_ahead()

    def others_wait(self) -> None:
        """Have the stream read ahead, if it is one."""
        read_ahead = None if self._read_ahead is None else self._read_ahead()
        if read_ahead is not None:
            read_ahead()

    def __del__(self) -> None:
        self._dispatcher.lost(self.job)


class _Place(Future[Hold]):
    """A caller that waits."""

    def __init__(self, job: Job, loop: Loop | None) -> None:
        super().__init__()
        self.job = job
        self.loop = loop
        self.thread = threading.current_thread().name
        self.since: float | None = None
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
        self._queue = Queue(self.config, self.server)
        self._places: dict[Job, _Place] = {}
        self._let_in: dict[Job, _Place] = {}
        self._holds: dict[Job, weakref.ref[Hold]] = {}
        self._lost: deque[Job] = deque()

    @property
    def crowded(self) -> bool:
        """Whether requests wait."""
        return bool(self._places)

    def state(self) -> QueueState:
        """Return what is to be seen of the queue."""
        with self._lock:
            return self._queue.state()

    def enter(self, job: Job, *, may_wait: bool = True) -> Hold:
        """Wait for a slot; the request is in flight then, at once where it may not wait.

        Raises:
            QueueFullError: As many requests wait as may.
            QueueTimeoutError: No slot came free in time.
        """
        on_loop = asyncio._get_running_loop() is not None
        place = self._submit(job, None, may_wait=may_wait and not on_loop)
        try:
            while not place.done():
                self._step(place)
                try:
                    place.result(self._pause(place))
                except FutureTimeoutError:
                    self._tend(place)
            return self._seated(place)
        except BaseException:
            self._give_up(place)
            raise

    async def aenter(self, job: Job, *, may_wait: bool = True) -> Hold:
        """Like `enter`, awaited."""
        place = self._submit(job, asyncio.get_running_loop(), may_wait=may_wait)
        try:
            done = None if place.done() else asyncio.wrap_future(place)
            while done is not None and not place.done():
                self._step(place)
                await asyncio.wait([done], timeout=self._pause(place))
                if not place.done():
                    self._tend(place)
            return self._seated(place)
        except BaseException:
            self._give_up(place)
            raise

    def ended(self, hold: Hold, reply: Reply | None) -> None:
        """Note that a request is over; see `Hold.end`."""
        with self._lock:
            self._end(hold.job, reply)
            self._move()

    def lost(self, job: Job) -> None:
        """Note that nobody holds a request any more; called by garbage collection, anywhere."""
        if job not in self._holds:
            return
        self._lost.append(job)
        if self._lock.acquire(blocking=False):
            try:
                self._move()
            finally:
                self._lock.release()

    def load(self, model: str) -> Load:
        """Return how busy the server is, seen from one model."""
        with self._lock:
            return self._queue.load(model)

    def configure(self, config: SchedulerConfig) -> None:
        """Change the settings; what waits and what was measured stays."""
        with self._lock:
            self.config = config
            self._queue.configure(config)
            self._move()

    def went_away(self) -> None:
        """Note that the server cannot be reached."""
        with self._lock:
            self._queue.went_away()

    def family_has(self, model: str, slots: int) -> None:
        """Note how many slots the server gives to models of this family."""
        with self._lock:
            self._queue.family_has(model, slots)

    def expected_wait(self, model: str) -> float:
        """Return the seconds after which one more request may be sent; 0: nothing is known."""
        with self._lock:
            return self._queue.expected_wait(model)

    def _submit(self, job: Job, loop: Loop | None, *, may_wait: bool) -> _Place:
        place = _Place(job, loop)
        now = self._now()
        if job.deadline is not None and job.deadline <= now:
            raise self._too_late("its deadline has passed")
        with self._lock:
            self._queue.submit(job, now)
            self._places[job] = place
            self._move()
            if not place.done() and not may_wait:
                self._overdraw(place)
            crowded = [] if place.done() else self._holding()
        for hold in crowded:
            hold.others_wait()
        return place

    def _end(self, job: Job, reply: Reply | None = None) -> None:
        """Free the slot of a request, once; the lock is held."""
        if self._holds.pop(job, None) is not None:
            self._let_in.pop(job, None)
            self._queue.done(job, self._now(), reply)

    def _holding(self) -> list[Hold]:
        """Return what is in flight; the lock is held."""
        return [hold for ref in list(self._holds.values()) if (hold := ref()) is not None]

    def _move(self) -> None:
        """Let in whoever the queue says; the lock is held."""
        while self._lost:
            self._end(self._lost.popleft())
        while (job := self._queue.next(self._now())) is not None:
            self._admit(self._places.pop(job))

    def _admit(self, place: _Place) -> None:
        job, loop = place.job, place.loop
        if loop is not None and loop.is_closed():
            self._queue.done(job, self._now())
            return
        place.since = self._now()
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
        with self._lock:
            self._let_in.pop(place.job, None)
        return hold

    def _give_up(self, place: _Place) -> None:
        """Leave the queue, or the slot that was given in the last moment."""
        with self._lock:
            self._let_in.pop(place.job, None)
            if self._places.pop(place.job, None) is not None:
                self._queue.leave(place.job)
                return
        if place.done() and place.exception() is None:
            place.result().end()

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
        return None if seconds is None else place.job.arrived + seconds

    def _too_late(self, why: str) -> QueueTimeoutError:
        return QueueTimeoutError(f"a request for {self.server} was not sent: {why}")

    def _tend(self, place: _Place) -> None:
        """See to it that nobody waits for what does not come."""
        with self._lock:
            now = self._now()
            for hold in self._holding():
                if self._is_gone(hold, now):
                    self._end(hold.job)
            self._move()
            if not place.done() and self._starves(place):
                self._overdraw(place)

    def _is_gone(self, hold: Hold, now: float) -> bool:
        """Return whether a task holds the slot whose loop will not go on."""
        loop = hold.loop
        if loop is None:
            return False
        if loop.is_closed():
            return True
        if loop.is_running():
            hold.still_since = None
            return False
        if hold.still_since is None:
            hold.still_since = now
        grace = PATIENCE_S if hold.job in self._let_in else _GRACE_S
        return now - hold.still_since >= grace

    def _starves(self, place: _Place) -> bool:
        """Return whether a task that holds a slot may need the very thread that waits here."""
        return place.loop is None and any(
            not hold.answered and hold.loop is not None and needs_thread(hold.loop, place.thread)
            for hold in self._holding()
        )
