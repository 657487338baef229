"""Identical requests for whole answers, at the same time."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from aegis_llm import cache_control
from aegis_llm.scheduler import flight as flight_module
from aegis_llm.values import Answer
from tests.races.kit import (
    PATIENCE,
    Bench,
    Model,
    ModelError,
    asked,
    auntil,
    cancelled,
    done,
    run,
    start,
    until,
)

MANY = 64


def led(outcomes: list[tuple[str, str]], leaders: int = 1) -> None:
    """All got the one answer, and all but the leaders from a leader."""
    counted = Counter(outcome for outcome, _ in outcomes)
    assert counted == Counter(miss=leaders, coalesced=len(outcomes) - leaders)
    assert {text for _, text in outcomes} == {"Rarely."}


def test_threads(bench: Bench) -> None:
    model = Model()
    threads = [start(lambda: bench.call(model)) for _ in range(MANY)]
    until(lambda: bench.waiting == MANY - 1)
    model.gate.set()
    led(done(threads))
    assert model.calls == 1
    assert bench.call(model)[0] == "hit_local"


def test_tasks(bench: Bench) -> None:
    model = Model()

    async def scenario() -> list[tuple[str, str]]:
        tasks = [asyncio.create_task(bench.acall(model)) for _ in range(MANY)]
        await auntil(lambda: bench.waiting == MANY - 1)
        model.gate.set()
        return await asyncio.gather(*tasks)

    led(run(scenario))
    assert model.calls == 1


@pytest.mark.parametrize("first", ["thread", "task"])
def test_threads_and_tasks(bench: Bench, first: str) -> None:
    model = Model()
    threads = [start(lambda: bench.call(model))] if first == "thread" else []

    async def scenario() -> list[tuple[str, str]]:
        until(lambda: model.calls == len(threads))
        tasks = [asyncio.create_task(bench.acall(model)) for _ in range(MANY // 2)]
        await auntil(lambda: model.calls == 1)
        threads.extend(start(lambda: bench.call(model)) for _ in range(MANY // 2 - len(threads)))
        await auntil(lambda: bench.waiting == MANY - 1)
        model.gate.set()
        return await asyncio.gather(*tasks)

    led(run(scenario) + done(threads))
    assert model.calls == 1


def test_tasks_of_many_loops(bench: Bench) -> None:
    model = Model()
    loops = [start(lambda: run(lambda: bench.acall(model))) for _ in range(8)]
    until(lambda: bench.waiting == 7)
    model.gate.set()
    led(done(loops))
    assert model.calls == 1


def test_other_questions_and_other_tenants_do_not_wait(bench: Bench) -> None:
    model, held = Model(), Model()
    model.gate.set()
    leader = start(lambda: bench.call(held))
    until(lambda: held.calls == 1)
    assert bench.call(model, asked("What is a cactus?"))[0] == "miss"
    with cache_control(tenant="acme"):
        assert bench.call(model)[0] == "miss"
    with cache_control(refresh=True):
        assert bench.call(model)[0] == "miss"
    held.gate.set()
    led(done([leader]))


def test_a_refresh_does_not_get_the_old_answer_of_another_flight(bench: Bench) -> None:
    model = Model()
    model.gate.set()
    bench.call(model)
    newer = Model(usual=Answer(text="Never.", done_reason="stop"))

    def refresh() -> tuple[str, str]:
        with cache_control(refresh=True):
            return bench.call(newer)

    threads = [start(refresh) for _ in range(4)]
    until(lambda: bench.waiting == 3)
    assert bench.call(model) == ("hit_local", "Rarely.")
    newer.gate.set()
    assert {text for _, text in done(threads)} == {"Never."}
    assert newer.calls == 1


def test_without_single_flight_everybody_calls() -> None:
    bench, model = Bench(single_flight=False), Model()
    threads = [start(lambda: bench.call(model)) for _ in range(4)]

    async def scenario() -> list[tuple[str, str]]:
        tasks = [asyncio.create_task(bench.acall(model)) for _ in range(4)]
        await auntil(lambda: model.calls == 8)
        model.gate.set()
        return await asyncio.gather(*tasks)

    led(run(scenario) + done(threads), leaders=8)


@pytest.mark.parametrize("leader", ["thread", "task"])
def test_a_failed_leader_releases_all_at_once_each_to_its_own_call(
    bench: Bench, leader: str
) -> None:
    model = Model({1: ModelError("once")})
    rest = Model()

    async def scenario() -> list[object]:
        if leader == "thread":
            first: Awaitable[object] = asyncio.wrap_future(start(lambda: bench.call(model)))
        else:
            first = asyncio.create_task(bench.acall(model))
        await auntil(lambda: model.calls == 1)
        tasks = [asyncio.create_task(bench.acall(rest)) for _ in range(8)]
        threads = [start(lambda: bench.call(rest)) for _ in range(8)]
        await auntil(lambda: bench.waiting == 16)
        model.gate.set()
        await auntil(lambda: rest.calls == 16)  # all of them, while none has an answer yet
        assert bench.waiting == 0
        rest.gate.set()
        followers = [*tasks, *map(asyncio.wrap_future, threads)]
        return await asyncio.gather(first, *followers, return_exceptions=True)

    error, *others = run(scenario)
    assert isinstance(error, ModelError)
    assert set(others) == {("miss", "Rarely.")}


@pytest.mark.parametrize("follower", ["thread", "task"])
def test_a_cancelled_leader_hands_over_to_exactly_one(bench: Bench, follower: str) -> None:
    model = Model()

    async def scenario() -> list[tuple[str, str]]:
        def follow() -> Awaitable[tuple[str, str]]:
            if follower == "thread":
                return asyncio.wrap_future(start(lambda: bench.call(model)))
            return asyncio.create_task(bench.acall(model))

        leader = asyncio.create_task(bench.acall(model))
        await auntil(lambda: model.calls == 1)
        followers = [follow() for _ in range(8)]
        await auntil(lambda: bench.waiting == 8)
        await cancelled(leader)
        await auntil(lambda: model.calls == 2)
        assert bench.waiting == 7
        model.gate.set()
        return await asyncio.gather(*followers)

    led(run(scenario))
    assert model.calls == 2


def test_every_leader_in_turn_is_cancelled(bench: Bench) -> None:
    model = Model()

    async def scenario() -> list[tuple[str, str]]:
        tasks = [asyncio.create_task(bench.acall(model)) for _ in range(8)]
        await auntil(lambda: bench.waiting == 7)
        for nth, task in enumerate(tasks[:-1], 1):
            await auntil(lambda nth=nth: model.calls == nth)  # type: ignore[misc]
            await cancelled(task)
        await auntil(lambda: model.calls == 8)
        model.gate.set()
        return [await tasks[-1]]

    led(run(scenario))


def test_a_cancelled_follower_cancels_nobody_else(bench: Bench) -> None:
    model = Model()

    async def scenario() -> list[tuple[str, str]]:
        tasks = [asyncio.create_task(bench.acall(model)) for _ in range(9)]
        await auntil(lambda: bench.waiting == 8)
        for task in tasks[1:5]:
            await cancelled(task)
        assert bench.waiting == 4
        model.gate.set()
        return await asyncio.gather(tasks[0], *tasks[5:])

    led(run(scenario))
    assert model.calls == 1


def test_a_leader_stopped_by_ctrl_c_hands_over(bench: Bench) -> None:
    model = Model({1: KeyboardInterrupt()})
    leader = start(lambda: bench.call(model))
    until(lambda: model.calls == 1)
    threads = [start(lambda: bench.call(model)) for _ in range(4)]
    until(lambda: bench.waiting == 4)
    model.gate.set()
    with pytest.raises(KeyboardInterrupt):
        done([leader])
    led(done(threads))
    assert model.calls == 2


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (Answer(text="Rarely."), 8),
        (Answer(text="", done_reason="stop"), 8),
        (Answer(text="Rare", done_reason="load"), 8),
        (Answer(text="Rarely.", done_reason="length"), 1),
    ],
)
def test_what_is_not_complete_is_not_shared_and_what_is_cut_is_not_stored(
    bench: Bench, answer: Answer, calls: int
) -> None:
    model = Model(usual=answer)
    threads = [start(lambda: bench.call(model)) for _ in range(8)]
    until(lambda: bench.waiting == 7)
    model.gate.set()
    assert {text for _, text in done(threads)} == {answer.text}
    assert model.calls == calls
    assert bench.call(model)[0] == "miss"
    assert model.calls == calls + 1


def test_an_answer_that_cannot_be_read_releases_the_others(bench: Bench) -> None:
    model = Model()

    def unreadable(_: Answer) -> list[Answer]:
        raise ModelError

    def call() -> str:
        return bench.answering.call(asked(), model.generate, unreadable)[0].origin.outcome

    threads = [start(call) for _ in range(4)]
    until(lambda: bench.waiting == 3)
    model.gate.set()
    assert done(threads) == ["miss"] * 4
    assert model.calls == 4


def test_a_blocking_call_on_the_loop_of_the_leader_calls_for_itself(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight_module, "_PATIENCE_S", 2 * PATIENCE)  # at once, that is
    model, own = Model(), Model()
    own.gate.set()

    async def scenario() -> list[tuple[str, str]]:
        leader = asyncio.create_task(bench.acall(model))
        await auntil(lambda: model.calls == 1)
        assert bench.call(own)[0] == "miss"
        assert bench.waiting == 0
        model.gate.set()
        return [await leader]

    assert run(scenario) == [("miss", "Rarely.")]
    assert own.calls == 1


def _same_thread(call: Callable[[], Answer]) -> Answer:
    return call()


def _copied_context(call: Callable[[], Answer]) -> Answer:
    context = contextvars.copy_context()
    return done([start(lambda: context.run(call))])[0]


@pytest.mark.parametrize("how", [_same_thread, _copied_context])
def test_the_same_call_inside_the_leader_does_not_wait_for_it(
    bench: Bench, how: Callable[[Callable[[], Answer]], Answer]
) -> None:
    inner = Model()
    inner.gate.set()

    def outer() -> Answer:
        assert how(lambda: Answer(bench.call(inner)[0])).text == "miss"
        return Answer(text="Rarely.", done_reason="stop")

    thread = start(lambda: bench.answering.call(asked(), outer, lambda a: [a]))
    assert done([thread])[0][0].origin.outcome == "miss"
    assert inner.calls == 1
    assert bench.call(inner)[0] == "hit_local"


def test_the_same_call_in_a_child_task_of_the_leader_does_not_wait_for_it(bench: Bench) -> None:
    inner = Model()
    inner.gate.set()

    async def outer() -> Answer:
        outcome, _ = await asyncio.create_task(bench.acall(inner))
        assert outcome == "miss"
        return Answer(text="Rarely.", done_reason="stop")

    async def scenario() -> None:
        lookup, _ = await bench.answering.acall(asked(), outer, lambda a: [a])
        assert lookup.origin.outcome == "miss"
        assert (await bench.acall(inner))[0] == "hit_local"

    run(scenario)
    assert inner.calls == 1


def test_who_led_before_follows_again(bench: Bench) -> None:
    """A thread that has led a flight of the same key earlier waits like everybody else."""
    model = Model(usual=Answer(text="Rarely.", done_reason="length"))
    model.gate.set()

    def twice() -> list[tuple[str, str]]:
        first = bench.call(model)
        held = Model()
        leader = start(lambda: bench.call(held))
        until(lambda: held.calls == 1)
        follower = start(partial(contextvars.copy_context().run, bench.call, model))
        until(lambda: bench.waiting == 1)
        held.gate.set()
        return [first, *done([follower, leader])]

    outcomes = done([start(twice)])[0]
    assert [outcome for outcome, _ in outcomes] == ["miss", "coalesced", "miss"]


class Held:
    """An embedder that waits."""

    embedding_id = "held"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.calls = 0

    def embed(self, text: str) -> list[float]:
        """Wait; then fail, which is a miss."""
        self.calls += 1
        until(self.gate.is_set)
        raise ModelError(text)


def test_a_leader_cancelled_while_it_still_looks_hands_over() -> None:
    held, model = Held(), Model()
    model.gate.set()
    bench = Bench(held, embed_timeout_ms=60_000)

    async def scenario() -> list[tuple[str, str]]:
        leader = asyncio.create_task(bench.acall(model))
        await auntil(lambda: held.calls == 1)
        followers = [asyncio.create_task(bench.acall(model)) for _ in range(4)]
        await auntil(lambda: bench.waiting == 4)
        await cancelled(leader)
        await auntil(lambda: held.calls == 2)
        assert model.calls == 0
        held.gate.set()
        return await asyncio.gather(*followers)

    led(run(scenario))
    assert model.calls == 1
    assert bench.flights == []
