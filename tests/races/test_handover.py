"""Who leads a flight, whatever is cancelled when: always one, and never nobody."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.plan import Seat
from aegis_llm.scheduler import flight as flight_module
from aegis_llm.scheduler.flight import Flight, Flights, Waiter
from aegis_llm.values import Answer, Entry
from tests.races.kit import auntil, done, run, start, until

ENTRY = Entry(key="k", answers=(Answer(text="Rarely."),), created_ms=0, expires_ms=1)
Step = tuple[Literal["join", "cancel", "settle", "fail", "publish", "abandon", "turn"], int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["join", "join", "cancel", "settle", "fail", "publish", "abandon", "turn"]
        ),
        st.integers(0, 7),
    ),
    max_size=40,
)


class Crowd:
    """Tasks that join one flight; what a leader does is decided from outside."""

    def __init__(self) -> None:
        self.flights = Flights()
        self.tasks: list[asyncio.Task[Seat | None]] = []
        self.orders: dict[Flight, asyncio.Future[str]] = {}

    async def member(self) -> Seat | None:
        """Join; as the leader, await an order and obey it; cancelled, abandon."""
        seat = await self.flights.ajoin("key")
        if seat.flight is None:
            return seat
        assert not self.orders.get(seat.flight), "two lead one flight"
        order = self.orders[seat.flight] = asyncio.get_running_loop().create_future()
        try:
            said = await order
        except asyncio.CancelledError:
            del self.orders[seat.flight]
            seat.flight.abandon()
            raise
        del self.orders[seat.flight]
        if said == "abandon":
            seat.flight.abandon()
        elif said == "publish":
            seat.flight.publish("stream")
            seat.flight.settle(ENTRY)
        else:
            seat.flight.settle(ENTRY if said == "settle" else None)
        return None

    async def play(self, steps: list[Step]) -> None:
        """Play the steps, then let every leader settle; nobody may be left."""
        for name, which in steps:
            if name == "join":
                self.tasks.append(asyncio.create_task(self.member()))
            elif name == "turn":
                await asyncio.sleep(0)
            elif name == "cancel":
                for task in self.tasks[which : which + 1]:
                    task.cancel()
            else:
                self.order(name)
        for _ in range(100):
            self.order("settle")
            await asyncio.sleep(0)
        assert all(task.done() for task in self.tasks), "somebody waits for ever"

    def order(self, name: str) -> None:
        """Tell every leader that has no order yet."""
        for order in self.orders.values():
            if not order.done():
                order.set_result(name)


@given(STEPS)
def test_whatever_is_cancelled_when_everybody_is_served(steps: list[Step]) -> None:
    crowd = Crowd()
    asyncio.run(crowd.play(steps))
    assert len(crowd.flights) == 0
    for task in crowd.tasks:
        assert task.cancelled() or task.exception() is None


def test_all_orders_of_cancelling_the_leader_and_its_heirs() -> None:
    """The leader and the first heirs are cancelled in one turn of the loop, in every order."""

    async def scenario(first: int, second: int, turns: int) -> tuple[int, Seat | None]:
        crowd = Crowd()
        crowd.tasks = [asyncio.create_task(crowd.member()) for _ in range(4)]
        await asyncio.sleep(0)
        crowd.tasks[first].cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        crowd.tasks[second].cancel()
        await crowd.play([])
        served = [task.result() for task in crowd.tasks if not task.cancelled()]
        assert served.count(None) == 1, "one led to the end"
        return len(crowd.flights), served[-1]

    for first in range(2):
        for second in range(3):
            for turns in range(5):
                if first != second:
                    left, last = run(lambda a=first, b=second, t=turns: scenario(a, b, t))  # type: ignore[misc]
                    assert (left, last) == (0, Seat(entry=ENTRY))


class SlowFuture(Waiter):
    """A future whose leading seat is a moment on its way."""

    leaving = threading.Event()
    handing = threading.Event()

    def set_result(self, result: Any) -> None:
        """Wait, before the lead is given, until the follower has begun to leave."""
        if result.flight is not None:
            self.handing.set()
            self.leaving.wait(1)
        super().set_result(result)


def test_a_lead_on_its_way_from_another_thread_to_a_leaving_follower_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SlowFuture, "leaving", threading.Event())
    monkeypatch.setattr(SlowFuture, "handing", threading.Event())
    monkeypatch.setattr(flight_module, "Waiter", SlowFuture)
    flights = Flights()
    seat = flights.join("key")
    leave = flights._leave

    def leaving(key: str, waiter: Waiter) -> None:
        SlowFuture.leaving.set()
        leave(key, waiter)

    monkeypatch.setattr(flights, "_leave", leaving)

    async def scenario() -> None:
        follower = asyncio.create_task(flights.ajoin("key"))
        await auntil(lambda: seat.flight.waiters)
        abandoning = start(seat.flight.abandon)
        await auntil(SlowFuture.handing.is_set)
        follower.cancel()
        await asyncio.wait([follower])
        await asyncio.wrap_future(abandoning)

    run(scenario)
    assert len(flights) == 0
    assert done([start(lambda: flights.join("key"))])[0].flight is not None


class Interrupted(Waiter):
    """A future whose first waiter gets a Ctrl-C."""

    waited = 0

    def result(self, timeout: float | None = None) -> Any:
        """Be interrupted while waiting, once."""
        if not self.done():
            raise KeyboardInterrupt
        return super().result(timeout)


def test_ctrl_c_takes_a_waiting_thread_out_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    flights = Flights()
    leader = start(lambda: flights.join("key"))
    flight = done([leader])[0].flight
    monkeypatch.setattr(flight_module, "Waiter", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        done([start(lambda: flights.join("key"))])
    monkeypatch.undo()
    heir = start(lambda: flights.join("key"))
    until(lambda: flight.waiters)
    flight.abandon()
    assert done([heir])[0].flight is flight
    flight.settle(None)
    assert len(flights) == 0


def test_a_flight_may_end_by_garbage_collection_inside_the_lock() -> None:
    flights = Flights()
    flight = done([start(lambda: flights.join("key"))])[0].flight

    def collected() -> None:
        with flights._lock:
            flight.settle(None)

    done([start(collected)])
    assert len(flights) == 0


def test_a_flight_that_ends_while_it_is_joined_keeps_nobody_waiting() -> None:
    flights = Flights()
    flight = done([start(lambda: flights.join("key"))])[0].flight
    append = flight.waiters.append

    class Ending(type(flight.waiters)):  # type: ignore[misc]
        """Ends the flight in the moment in which somebody gets in line."""

        def append(self, waiter: Any) -> None:
            """Settle first, as a garbage collection at this place would."""
            flight.settle(None)
            append(waiter)

    flight.waiters = Ending()
    assert done([start(lambda: flights.join("key"))])[0] == Seat()


def lead(flights: Flights, turns: int) -> int:
    """Join often; as the leader abandon, settle and fail by turns. Return how often it led."""
    led = 0
    for turn in range(turns):
        seat = flights.join("key")
        if seat.flight is None:
            continue
        led += 1
        if turn % 3 == 0:
            seat.flight.abandon()
        else:
            seat.flight.settle(ENTRY if turn % 3 == 1 else None)
    return led


async def alead(flights: Flights, turns: int) -> int:
    """Like `lead`, awaited; every fourth time cancelled at once."""
    led = 0
    for turn in range(turns):
        task = asyncio.create_task(flights.ajoin("key"))
        if turn % 4 == 0:
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.result().flight is not None:
            led += 1
            task.result().flight.settle(None)
    return led


def test_thousands_of_joins_from_threads_and_loops_end() -> None:
    flights = Flights()

    async def crowd() -> int:
        return sum(await asyncio.gather(*[alead(flights, 100) for _ in range(8)]))

    threads = [start(lambda: lead(flights, 200)) for _ in range(8)]
    loops = [start(lambda: run(crowd)) for _ in range(2)]
    assert sum(done(threads)) + sum(done(loops)) > 0
    assert len(flights) == 0


def test_a_thread_does_not_wait_for_a_loop_that_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`chain.invoke` on the loop's thread starts threads, as RunnableParallel does, and waits."""
    monkeypatch.setattr(flight_module, "_PATIENCE_S", 0.05)
    flights = Flights()

    async def scenario() -> Seat:
        seat = await flights.ajoin("key")
        alone = done([start(lambda: flights.join("key"))])[0]
        follower = start(lambda: flights.join("key"))
        await auntil(lambda: seat.flight.waiters)
        for _ in range(10):  # a loop that runs is waited for, as long as it takes
            await asyncio.sleep(0.05)
        assert not follower.done()
        seat.flight.settle(ENTRY)
        assert await asyncio.wrap_future(follower) == Seat(entry=ENTRY)
        return alone

    assert run(scenario) == Seat()
    assert len(flights) == 0


def test_a_thread_does_not_wait_for_a_loop_that_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flight_module, "_PATIENCE_S", 0.05)
    flights = Flights()
    seat = run(lambda: flights.ajoin("key"))
    assert done([start(lambda: flights.join("key"))]) == [Seat()]
    seat.flight.settle(None)
