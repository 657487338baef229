"""Where a careless follower would wait for a leader that waits for it."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

import pytest

from aegis_llm.plan import Seat
from aegis_llm.scheduler.flight import ALONE, Flights
from aegis_llm.values import Answer
from tests.races.kit import Bench, Model, asked, auntil, done, run, start, until

ANSWER = Answer(text="Rarely.", done_reason="stop")


def open_model() -> Model:
    model = Model()
    model.gate.set()
    return model


def test_the_leaders_threads_ask_the_same(bench: Bench) -> None:
    """LangChain starts its threads with the context of the caller."""
    model = open_model()

    def nested() -> Answer:
        with ThreadPoolExecutor(2) as pool:
            calls = [
                pool.submit(contextvars.copy_context().run, bench.call, model) for _ in range(4)
            ]
            assert {outcome for outcome, _ in done(calls)} <= {"miss", "hit_local", "hit_exact"}
        return ANSWER

    done([start(lambda: bench.answering.call(asked(), nested, lambda a: [a]))])


def test_one_flight_inside_another_that_asks_the_first_again(bench: Bench) -> None:
    model, inner = open_model(), asked("Inner?")

    def outer() -> Answer:
        bench.answering.call(inner, middle, lambda a: [a])
        return ANSWER

    def middle() -> Answer:
        assert bench.call(model)[0] == "miss"
        return ANSWER

    done([start(lambda: bench.answering.call(asked(), outer, lambda a: [a]))])
    assert bench.call(model, inner)[0] == "hit_local"
    assert model.calls == 1


def test_an_event_loop_that_ends_takes_no_lead_along(bench: Bench) -> None:
    """Its tasks are cancelled by `asyncio.run`; a thread that waits gets the lead."""
    model = Model()
    followers = []

    async def short() -> None:
        task = asyncio.create_task(bench.acall(model))
        await auntil(lambda: model.calls == 1)
        followers.append(start(lambda: bench.call(model)))
        await auntil(lambda: bench.waiting == 1)
        assert not task.done()

    start(lambda: asyncio.run(short())).result()
    model.gate.set()
    assert done(followers)[0][0] == "miss"


@pytest.mark.parametrize("followers", [1, 64])
def test_followers_do_not_take_the_threads_that_the_leader_needs(
    bench: Bench, followers: int
) -> None:
    """A host's name is looked up in the loop's executor; `to_thread(llm.invoke)` waits there."""
    model = open_model()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        proceed = asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(min(followers, 4)))

        async def needs_a_thread() -> Answer:
            await proceed.wait()
            return await loop.run_in_executor(None, lambda: ANSWER)

        leader = asyncio.create_task(bench.answering.acall(asked(), needs_a_thread, lambda a: [a]))
        await auntil(lambda: bench.flights)
        waiting = [
            asyncio.create_task(asyncio.to_thread(bench.call, model)) for _ in range(followers)
        ]
        await auntil(lambda: model.calls or bench.waiting)
        proceed.set()
        outcomes = {outcome for outcome, _ in await asyncio.gather(*waiting)}
        assert outcomes <= {"miss", "hit_local", "coalesced"}
        assert (await leader)[0].origin.outcome == "miss"

    run(scenario)


def test_a_task_that_takes_over_the_lead_lets_go_the_threads_that_it_may_need() -> None:
    flights = Flights()
    leading = start(lambda: flights.join("key"))
    flight = done([leading])[0].flight

    async def scenario() -> tuple[Seat, Seat, Seat]:
        heir = asyncio.create_task(flights.ajoin("key"))
        await auntil(lambda: len(flight.waiters) == 1)
        in_executor = asyncio.create_task(asyncio.to_thread(flights.join, "key"))
        await auntil(lambda: len(flight.waiters) == 2)
        elsewhere = start(lambda: flights.join("key"))
        await auntil(lambda: len(flight.waiters) == 3)
        flight.abandon()
        seats = await heir, await in_executor
        assert len(flight.waiters) == 1, "a thread of its own may go on waiting"
        flight.settle(None)
        return *seats, await asyncio.wrap_future(elsewhere)

    heir, in_executor, elsewhere = run(scenario)
    assert heir.flight is flight
    assert in_executor is elsewhere is ALONE
    assert len(flights) == 0


def test_threads_of_an_executor_follow_a_leader_that_is_a_thread(bench: Bench) -> None:
    model = Model()
    leader = start(lambda: bench.call(model))
    until(lambda: model.calls == 1)

    async def scenario() -> None:
        threads = [asyncio.create_task(asyncio.to_thread(bench.call, model)) for _ in range(4)]
        await auntil(lambda: bench.waiting == 4)
        model.gate.set()
        assert {outcome for outcome, _ in await asyncio.gather(*threads)} == {"coalesced"}

    run(scenario)
    assert done([leader])[0][0] == "miss"
    assert model.calls == 1
