"""Where a careless follower would wait for itself, or for a leader that waits for it."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.races.support import (
    PATIENCE_S,
    Crowd,
    Model,
    answering,
    answers_of,
    ask,
    auntil,
    text_of,
    until,
    waiting,
)


async def test_a_blocking_call_on_the_loop_whose_task_leads() -> None:
    answers, model = answering(), Model()
    leader = asyncio.create_task(answers.acall(ask(), model.acall, answers_of))
    await auntil(lambda: model.running == 1)
    ready = Model(open=True)
    lookup, native = answers.call(ask(), ready.call, answers_of)
    assert lookup.origin.outcome == "miss"
    assert native == "It just is."
    model.gate.set()
    assert (await leader)[0].origin.outcome == "miss"
    assert len(answers.service.flights) == 0


async def test_a_blocking_call_on_the_loop_may_lead() -> None:
    answers, ready = answering(), Model(open=True)
    assert answers.call(ask(), ready.call, answers_of)[0].origin.outcome == "miss"
    assert answers.call(ask(), ready.call, answers_of)[0].origin.outcome == "hit_local"
    assert len(answers.service.flights) == 0


def test_the_leaders_own_code_asks_the_same() -> None:
    """An agent whose tool asks the agent's own question."""
    answers, model = answering(), Model(open=True)

    def nested() -> str:
        return text_of(*answers.call(ask(), model.call, answers_of)) + " Really."

    crowd = Crowd(1, lambda: answers.call(ask(), nested, answers_of))
    lookup, native = crowd.join()[0]
    assert (lookup.origin.outcome, native) == ("miss", "It just is. Really.")
    assert len(answers.service.flights) == 0


async def test_the_leading_tasks_own_code_asks_the_same() -> None:
    answers, model = answering(), Model(open=True)

    async def nested() -> str:
        within_it = await asyncio.wait_for(
            answers.acall(ask(), model.acall, answers_of), PATIENCE_S
        )
        children = await asyncio.wait_for(
            asyncio.gather(*(answers.acall(ask(), model.acall, answers_of) for _ in range(3))),
            PATIENCE_S,
        )
        in_thread = await asyncio.to_thread(answers.call, ask(), model.call, answers_of)
        return text_of(*within_it) + str(len(children)) + text_of(*in_thread)

    _, native = await answers.acall(ask(), nested, answers_of)
    assert native == "It just is.3It just is."
    assert len(answers.service.flights) == 0


def test_the_leaders_threads_ask_the_same() -> None:
    """LangChain starts its threads with the context of the caller."""
    answers, model = answering(), Model(open=True)

    def nested() -> str:
        with ThreadPoolExecutor(2) as pool:
            asked = [
                pool.submit(
                    contextvars.copy_context().run, answers.call, ask(), model.call, answers_of
                )
                for _ in range(4)
            ]
            return "".join(text_of(*one.result(PATIENCE_S)) for one in asked)

    crowd = Crowd(1, lambda: answers.call(ask(), nested, answers_of))
    assert crowd.join()[0][1] == "It just is." * 4
    assert len(answers.service.flights) == 0


def test_a_leader_may_lead_another_flight_inside_the_first() -> None:
    answers, model = answering(), Model(open=True)

    def outer() -> str:
        inner = answers.call(ask("Inner?"), middle, answers_of)
        return text_of(*inner)

    def middle() -> str:
        return text_of(*answers.call(ask(), model.call, answers_of))

    assert Crowd(1, lambda: answers.call(ask(), outer, answers_of)).join()[0][1] == "It just is."
    assert model.calls == 1
    assert len(answers.service.flights) == 0


def test_one_who_has_led_before_follows_like_anybody() -> None:
    answers, model = answering(local_max_bytes=0), Model(open=True)
    answers.call(ask("Other?"), model.call, answers_of)
    held = Model()
    crowd = Crowd(1, lambda: answers.call(ask(), held.call, answers_of))
    until(lambda: held.running == 1)
    context = contextvars.copy_context()
    follower = Crowd(1, lambda: context.run(answers.call, ask(), held.call, answers_of))
    until(lambda: waiting(answers.service) == 1)
    held.gate.set()
    assert follower.join()[0][0].origin.outcome == "coalesced"
    crowd.join()


@pytest.mark.parametrize("followers", [8, 64])
async def test_followers_do_not_take_the_threads_that_the_leader_needs(followers: int) -> None:
    """A host name is looked up in the loop's executor; `asyncio.to_thread(llm.invoke)` waits there."""
    answers, model = answering(), Model()
    loop = asyncio.get_running_loop()

    async def needs_a_thread() -> str:
        model.calls += 1
        await auntil(model.gate.is_set)
        return await loop.run_in_executor(None, lambda: "It just is.")

    leader = asyncio.create_task(answers.acall(ask(), needs_a_thread, answers_of))
    await auntil(lambda: model.calls == 1)
    blocking = Model(open=True)
    waiters = [
        asyncio.create_task(asyncio.to_thread(answers.call, ask(), blocking.call, answers_of))
        for _ in range(followers)
    ]
    executor: Any = None
    while executor is None:
        await asyncio.sleep(0)
        executor = loop._default_executor  # type: ignore[attr-defined]
    await auntil(lambda: waiting(answers.service) or blocking.calls)
    model.gate.set()
    done, pending = await asyncio.wait([leader, *waiters], timeout=5)
    if pending:  # let the threads go, so that the test ends
        flight = next(iter(answers.service.flights._flights.values()))
        flight.settle(None)
        await asyncio.wait(pending)
    assert not pending, "the leader waits for a thread, which its followers hold"
    assert {text_of(*task.result()) for task in done} == {"It just is."}
    assert len(answers.service.flights) == 0
