"""Identical requests at the same time: one model call, and nobody is left behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from aegis_llm import Answer, cache_control
from tests.races.support import (
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

MANY = 64


def outcomes(results: list[Any]) -> Counter[str]:
    return Counter(lookup.origin.outcome for lookup, _ in results)


def test_threads() -> None:
    answers, model = answering(), Model()
    crowd = Crowd(MANY, lambda: answers.call(ask(), model.call, answers_of))
    until(lambda: waiting(answers.service) == MANY - 1)
    model.gate.set()
    results = crowd.join()
    assert model.calls == 1
    assert outcomes(results) == {"miss": 1, "coalesced": MANY - 1}
    assert {text_of(*result) for result in results} == {"It just is."}
    assert len(answers.service.flights) == 0


async def test_tasks() -> None:
    answers, model = answering(), Model()
    tasks = [
        asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(MANY)
    ]
    await auntil(lambda: waiting(answers.service) == MANY - 1)
    model.gate.set()
    results = await asyncio.gather(*tasks)
    assert model.calls == 1
    assert outcomes(list(results)) == {"miss": 1, "coalesced": MANY - 1}
    assert len(answers.service.flights) == 0


@pytest.mark.parametrize("first", ["thread", "task"])
async def test_threads_and_tasks_together(first: str) -> None:
    answers, model = answering(), Model()
    half = MANY // 2

    def threads() -> Crowd:
        return Crowd(half, lambda: answers.call(ask(), model.call, answers_of))

    def tasks() -> list[asyncio.Task[Any]]:
        return [
            asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(half)
        ]

    if first == "thread":
        crowd = threads()
        await auntil(lambda: waiting(answers.service) == half - 1)
        running = tasks()
    else:
        running = tasks()
        await auntil(lambda: waiting(answers.service) == half - 1)
        crowd = threads()
    await auntil(lambda: waiting(answers.service) == MANY - 1)
    model.gate.set()
    results = [*await asyncio.gather(*running), *await asyncio.to_thread(crowd.join)]
    assert model.calls == 1
    assert outcomes(results) == {"miss": 1, "coalesced": MANY - 1}
    assert len(answers.service.flights) == 0


def test_two_event_loops() -> None:
    answers, model = answering(), Model()

    async def four() -> list[Any]:
        calls = (answers.acall(ask(), model.acall, answers_of) for _ in range(4))
        return list(await asyncio.gather(*calls))

    crowd = Crowd(4, lambda: asyncio.run(four()))
    until(lambda: waiting(answers.service) == 15)
    model.gate.set()
    results = [one for four_of_them in crowd.join() for one in four_of_them]
    assert model.calls == 1
    assert outcomes(results) == {"miss": 1, "coalesced": 15}
    assert len(answers.service.flights) == 0


def test_other_requests_do_not_wait() -> None:
    answers, model = answering(), Model()
    crowd = Crowd(1, lambda: answers.call(ask(), model.call, answers_of))
    until(lambda: model.running == 1)
    ready = Model(open=True)
    for request in (ask("Why not?"), ask(identity="other"), ask(params={"format": ""})):
        lookup, _ = answers.call(request, ready.call, answers_of)
        assert lookup.origin.outcome == "miss"
    with cache_control(tenant="acme"):
        answers.call(ask(), ready.call, answers_of)
    with cache_control(bypass=True):
        answers.call(ask(), ready.call, answers_of)
    assert ready.calls == 5
    model.gate.set()
    crowd.join()


def test_it_can_be_turned_off() -> None:
    answers, model = answering(single_flight=False), Model()
    crowd = Crowd(4, lambda: answers.call(ask(), model.call, answers_of))
    until(lambda: model.running == 4)
    model.gate.set()
    assert outcomes(crowd.join()) == {"miss": 4}


def test_a_leader_that_fails_releases_all_at_once_to_their_own_calls() -> None:
    answers, model = answering(), Model()
    model.errors, model.together = [ConnectionResetError("first")], 15
    crowd = Crowd(16, lambda: answers.call(ask(), model.call, answers_of))
    until(lambda: waiting(answers.service) == 15)
    model.gate.set()
    results = crowd.join()
    failed = [result for result in results if isinstance(result, Exception)]
    assert [repr(error) for error in failed] == ["ConnectionResetError('first')"]
    assert outcomes([r for r in results if r not in failed]) == {"miss": 15}
    assert model.calls == 16
    assert len(answers.service.flights) == 0


async def test_a_leading_task_that_fails_releases_tasks_and_threads() -> None:
    answers, model = answering(), Model()
    model.errors, model.together = [ConnectionResetError("first")], 15
    leader = asyncio.create_task(answers.acall(ask(), model.acall, answers_of))
    await auntil(lambda: model.running == 1)
    crowd = Crowd(8, lambda: answers.call(ask(), model.call, answers_of))
    tasks = [asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(7)]
    await auntil(lambda: waiting(answers.service) == 15)
    model.gate.set()
    with pytest.raises(ConnectionResetError):
        await leader
    results = [*await asyncio.gather(*tasks), *await asyncio.to_thread(crowd.join)]
    assert outcomes(results) == {"miss": 15}
    assert len(answers.service.flights) == 0


@pytest.mark.parametrize("answer", ["", "cut"])
def test_an_answer_that_is_not_for_others_releases_them_too(answer: str) -> None:
    """An empty answer; one cut by the token limit is what each of them would get."""
    answers, model = answering(), Model()
    reason = {"": "stop", "cut": "length"}[answer]

    def read(native: str) -> list[Answer]:
        return [Answer(text=native, done_reason=reason)]

    def call() -> str:
        model.call()
        return answer

    crowd = Crowd(8, lambda: answers.call(ask(), call, read))
    until(lambda: waiting(answers.service) == 7)
    model.gate.set()
    told = outcomes(crowd.join())
    assert told == ({"miss": 8} if answer == "" else {"miss": 1, "coalesced": 7})
    assert len(answers.service.flights) == 0


async def test_a_cancelled_leader_hands_over_to_exactly_one() -> None:
    answers, model = answering(), Model()
    leader = asyncio.create_task(answers.acall(ask(), model.acall, answers_of))
    await auntil(lambda: model.running == 1)
    tasks = [asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(7)]
    crowd = Crowd(8, lambda: answers.call(ask(), model.call, answers_of))
    await auntil(lambda: waiting(answers.service) == 15)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    await auntil(lambda: model.calls == 2)
    assert waiting(answers.service) == 14
    model.gate.set()
    results = [*await asyncio.gather(*tasks), *await asyncio.to_thread(crowd.join)]
    assert model.calls == 2
    assert outcomes(results) == {"miss": 1, "coalesced": 14}
    assert len(answers.service.flights) == 0


async def test_one_leader_after_the_other_is_cancelled() -> None:
    answers, model = answering(), Model()
    tasks = [asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(6)]
    for number, task in enumerate(tasks[:5], 1):
        await auntil(lambda number=number: model.calls == number and model.running == 1)
        task.cancel()
    await auntil(lambda: model.calls == 6 and model.running == 1)
    model.gate.set()
    assert outcomes([await tasks[5]]) == {"miss": 1}
    assert len(answers.service.flights) == 0


async def test_a_cancelled_follower_disturbs_nobody() -> None:
    answers, model = answering(), Model()
    tasks = [asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(8)]
    await auntil(lambda: waiting(answers.service) == 7)
    for task in tasks[1:4]:
        task.cancel()
    await auntil(lambda: waiting(answers.service) == 4)
    model.gate.set()
    results = await asyncio.gather(*tasks[:1], *tasks[4:])
    assert model.calls == 1
    assert outcomes(list(results)) == {"miss": 1, "coalesced": 4}


async def test_all_cancelled_leave_nothing_behind() -> None:
    answers, model = answering(), Model()
    tasks = [asyncio.create_task(answers.acall(ask(), model.acall, answers_of)) for _ in range(8)]
    await auntil(lambda: waiting(answers.service) == 7)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert len(answers.service.flights) == 0
    assert model.running == 0
    model.gate.set()
    lookup, _ = await answers.acall(ask(), model.acall, answers_of)
    assert lookup.origin.outcome == "miss"


def test_an_event_loop_that_ends_takes_no_lead_along() -> None:
    """Its tasks are cancelled by `asyncio.run`; the thread that waits gets the lead."""
    answers, model = answering(), Model()

    async def short() -> None:
        task = asyncio.create_task(answers.acall(ask(), model.acall, answers_of))
        await auntil(lambda: model.running == 1)
        crowds.append(Crowd(1, lambda: answers.call(ask(), model.call, answers_of)))
        await auntil(lambda: waiting(answers.service) == 1)
        assert not task.done()

    crowds: list[Crowd] = []
    asyncio.run(short())
    model.gate.set()
    assert outcomes(crowds[0].join()) == {"miss": 1}


def test_ctrl_c_in_the_leader_hands_over() -> None:
    answers, model = answering(), Model()
    model.errors = [KeyboardInterrupt()]
    crowd = Crowd(8, lambda: answers.call(ask(), model.call, answers_of))
    until(lambda: waiting(answers.service) == 7)
    model.gate.set()
    results = crowd.join()
    assert sum(isinstance(result, KeyboardInterrupt) for result in results) == 1
    good = [result for result in results if not isinstance(result, KeyboardInterrupt)]
    assert outcomes(good)["miss"] == 1
    assert model.calls == 2
    assert len(answers.service.flights) == 0
