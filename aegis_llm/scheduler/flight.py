"""Single-flight: identical requests at the same time make one model call.

One `Flights` serves threads and tasks of any event loop. The first request of a key leads; the
others wait for its entry or its stream. A leader that is cancelled hands over to one follower; a
leader that fails releases all of them, each to its own call.

Traps that shape this code: every follower has a future of its own, so that cancelling one cancels
nobody else; a follower that is cancelled in the moment it is made leader hands over in turn; a
blocking call on an event loop's thread never waits, since the leader may be a task of that loop;
a call made by the leader's own code never waits for itself, nor do two leaders for each other,
however many others wait in between; a thread that a leading task may hand
work to (a name to look up) does not wait for that task, nor does any thread for a task whose loop
shows no sign of life, since it may be blocked until that very thread is done; garbage collection
may end a flight in the very thread that holds the lock, so the lock can be taken twice.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextvars import ContextVar
from typing import Any

from aegis_llm.plan import Seat
from aegis_llm.scheduler.beats import answers, needs_thread
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.values import Entry

_led: ContextVar[frozenset[Flight]] = ContextVar("aegis_led", default=frozenset())

ALONE = Seat()
_PATIENCE_S = 1.0  # between two looks at the leader's loop, and for its sign of life

Loop = asyncio.AbstractEventLoop


class Waiter(Future[Seat]):
    """A follower's place: a task of `loop`, or a blocked thread."""

    def __init__(self, loop: Loop | None) -> None:
        super().__init__()
        self.loop = loop
        self.thread = threading.current_thread().name
        self.led: list[Flight] = []
        self.flight: Flight | None = None
        self.set_running_or_notify_cancel()

    def starves(self, loop: Loop | None) -> bool:
        """Return whether it blocks a thread of the executor that tasks of the loop need."""
        return loop is not None and self.loop is None and needs_thread(loop, self.thread)


class Flight:
    """The requests of one key that are under way; its leader holds it until it has settled.

    `loop` is the event loop of a leader that is a task; `awaits` are the flights that calls made
    by the leader's own code wait for.
    """

    def __init__(self, flights: Flights, key: str, loop: Loop | None) -> None:
        self._flights = flights
        self.key = key
        self.loop = loop
        self.over = False
        self.awaits: list[Flight] = []
        self.waiters: deque[Waiter] = deque()
        self.stream: Any = None

    def settle(self, entry: Entry | None) -> None:
        """End the flight: followers get the entry, or each its own call when there is none."""
        self._flights.settle(self, entry)

    def publish(self, stream: Any) -> None:
        """Let the followers, present and to come, read the leader's stream."""
        self._flights.publish(self, stream)

    def abandon(self) -> None:
        """Hand the lead over to one follower, because this leader was cancelled."""
        self._flights.abandon(self)


class Flights:
    """All flights of one service."""

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget all flights: a forked child has none of their leaders."""
        self._lock = threading.RLock()
        self._flights: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: str) -> Seat:
        """Lead the flight of `key`, or block until its leader has settled."""
        on_loop = asyncio._get_running_loop() is not None
        seat = self._take(key, None, may_wait=not on_loop)
        if isinstance(seat, Seat):
            return seat
        try:
            return _seated(self._wait(key, seat))
        except BaseException:  # Ctrl-C while waiting
            self._leave(key, seat)
            raise
        finally:
            self._waited(seat)

    async def ajoin(self, key: str) -> Seat:
        """Like `join`, awaited."""
        seat = self._take(key, asyncio.get_running_loop(), may_wait=True)
        if isinstance(seat, Seat):
            return seat
        try:
            return _seated(await asyncio.wrap_future(seat))
        except asyncio.CancelledError:
            self._leave(key, seat)
            raise
        finally:
            self._waited(seat)

    def settle(self, flight: Flight, entry: Entry | None) -> None:
        """End a flight; see `Flight.settle`."""
        seat = ALONE if entry is None else Seat(entry=entry)
        with self._lock:
            self._remove(flight)
            waiters, flight.waiters = flight.waiters, deque()
        for waiter in waiters:
            waiter.set_result(seat)

    def publish(self, flight: Flight, stream: Any) -> None:
        """Offer a stream to followers; see `Flight.publish`."""
        with self._lock:
            flight.stream = stream
            waiters, flight.waiters = flight.waiters, deque()
        for waiter in waiters:
            waiter.set_result(Seat(stream=stream))

    def abandon(self, flight: Flight) -> None:
        """Hand a flight over; see `Flight.abandon`."""
        with self._lock:
            if not flight.waiters:
                self._remove(flight)
                return
            heir = flight.waiters.popleft()
            flight.loop = heir.loop
            for waiter in [w for w in flight.waiters if w.starves(flight.loop)]:
                flight.waiters.remove(waiter)
                waiter.set_result(ALONE)
            # Under the lock, so that a follower on its way out sees that it was made leader.
            heir.set_result(Seat(flight=flight))

    def _take(self, key: str, loop: Loop | None, *, may_wait: bool) -> Seat | Waiter:
        led = _led.get()
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._flights[key] = Flight(self, key, loop)
                return _lead(flight)
            if not may_wait:
                return ALONE
            if flight.stream is not None:  # also one's own: whoever needs an item pulls it
                return Seat(stream=flight.stream)
            if flight in led or _awaits(flight, led):
                return ALONE
            waiter = Waiter(loop)
            if waiter.starves(flight.loop):
                return ALONE
            flight.waiters.append(waiter)
            if flight.over:
                return ALONE
            waiter.flight, waiter.led = flight, [one for one in led if not one.over]
            for one in waiter.led:
                one.awaits.append(flight)
            return waiter

    def _waited(self, waiter: Waiter) -> None:
        with self._lock:
            for one in waiter.led:
                one.awaits = [other for other in one.awaits if other is not waiter.flight]
            waiter.led, waiter.flight = [], None

    def _wait(self, key: str, waiter: Waiter) -> Seat:
        while True:
            try:
                return waiter.result(_PATIENCE_S)
            except FutureTimeoutError:
                flight = self._flights.get(key)
                if flight is None or answers(flight.loop, _PATIENCE_S):
                    continue
                if not self._stepped_out(key, waiter):
                    continue
                return ALONE

    def _stepped_out(self, key: str, waiter: Waiter) -> bool:
        with self._lock:
            flight = self._flights.get(key)
            if flight is None or waiter not in flight.waiters:
                return False
            flight.waiters.remove(waiter)
            return True

    def _leave(self, key: str, waiter: Waiter) -> None:
        if self._stepped_out(key, waiter) or not waiter.done():
            return
        seat = waiter.result()
        if seat.flight is not None:
            seat.flight.abandon()

    def _remove(self, flight: Flight) -> None:
        flight.over = True
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]


def _awaits(flight: Flight, led: frozenset[Flight]) -> bool:
    """Return whether the flight's leader waits for one of these, maybe through others."""
    seen, ahead = {flight}, [flight]
    while ahead:
        for one in ahead.pop().awaits:
            if one in led:
                return True
            if one not in seen and not one.over:
                seen.add(one)
                ahead.append(one)
    return False


def _lead(flight: Flight) -> Seat:
    _led.set(frozenset((flight, *(led for led in _led.get() if not led.over))))
    return Seat(flight=flight)


def _seated(seat: Seat) -> Seat:
    return _lead(seat.flight) if seat.flight is not None else seat
