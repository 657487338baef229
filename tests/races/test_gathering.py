"""Many callers, few calls: nothing lost, nothing twice, whoever leaves when."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.scheduler.gathering import ALONE, Gathering
from tests.races.gathering_kit import RefusedError, Sender, sender
from tests.races.kit import auntil, done, run, start, until


@pytest.mark.parametrize("always", [False, True])
def test_threads_and_tasks_together_each_get_their_own_result(always: bool) -> None:
    with sender(window_s=0.02, max_batch=16, always=always) as sent:
        sent.gate.set()

        async def tasks() -> list[Any]:
            return await asyncio.gather(*[sent.gathering.acall(f"t{i}") for i in range(64)])

        threads = [start(partial(sent.gathering.call, f"b{i}")) for i in range(64)]
        loops = [start(lambda: run(tasks)) for _ in range(2)]
        assert done(threads) == [f"b{i}!" for i in range(64)]
        assert done(loops) == [[f"t{i}!" for i in range(64)]] * 2
    assert sorted(sent.items) == sorted(
        [f"t{i}" for i in range(64)] * 2 + [f"b{i}" for i in range(64)]
    )
    assert all(len(batch) <= 16 for batch in sent.batches)
    assert len(sent.batches) < 192


def test_what_waits_while_a_batch_is_under_way_goes_as_one_when_it_is_back() -> None:
    with sender() as sent:
        end = sent.busy()

        async def tasks() -> list[Any]:
            waiting = [asyncio.create_task(sent.gathering.acall(i)) for i in range(8)]
            await auntil(lambda: sent.gathering.waiting == 16)
            await asyncio.to_thread(end)
            return await asyncio.gather(*waiting)

        threads = [start(partial(sent.gathering.call, i)) for i in range(8, 16)]
        assert run(tasks) == [f"{i}!" for i in range(8)]
        assert done(threads) == [f"{i}!" for i in range(8, 16)]
    assert [len(batch) for batch in sent.batches] == [1, 16]


def test_a_caller_alone_is_served_by_itself() -> None:
    with sender() as sent:
        name = threading.current_thread().name
        assert sent.gathering.call("a") == "a!"
        assert asyncio.run(sent.gathering.acall("b")) == "b!"
    assert sent.threads == [name, "task"]


def test_items_of_different_keys_are_never_together_and_do_not_wait_for_each_other() -> None:
    with sender(key=lambda item: str(item)[0]) as sent:
        end = sent.busy()
        assert sent.gathering.call("b1") == "b1!"
        waiting = [start(partial(sent.gathering.call, f"f{i}")) for i in range(3)]
        until(lambda: sent.gathering.waiting == 3)
        end()
        assert done(waiting) == ["f0!", "f1!", "f2!"]
    assert [len(batch) for batch in sent.batches] == [1, 1, 3]


def test_an_item_that_fails_fails_for_its_caller_only() -> None:
    with sender() as sent:
        end = sent.busy()
        items = ["a", "bad", "b"]
        waiting = [start(partial(sent.gathering.call, item)) for item in items]
        until(lambda: sent.gathering.waiting == 3)
        end()
        assert (waiting[0].result(), waiting[2].result()) == ("a!", "b!")
        with pytest.raises(RefusedError, match=r"^bad$"):
            waiting[1].result()
    assert [len(batch) for batch in sent.batches] == [1, 3]


@pytest.mark.parametrize("kind", ["threads", "tasks"])
def test_a_batch_that_fails_as_a_whole_lets_each_caller_try_for_itself(kind: str) -> None:
    items = ["a", "poison", "b"]
    with sender() as sent:
        end = sent.busy()

        async def tasks() -> list[Any]:
            waiting = [asyncio.create_task(sent.gathering.acall(item)) for item in items]
            await auntil(lambda: sent.gathering.waiting == 3)
            await asyncio.to_thread(end)
            return await asyncio.gather(*waiting, return_exceptions=True)

        if kind == "tasks":
            told = run(tasks)
        else:
            waiting = [start(partial(sent.gathering.call, item)) for item in items]
            until(lambda: sent.gathering.waiting == 3)
            end()
            told = [one.exception() or one.result() for one in waiting]
    assert (told[0], told[2]) == ("a!", "b!")
    assert str(told[1]) == "poison among 1"


@pytest.mark.parametrize("fails", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_who_is_interrupted_while_sending_leaves_the_others_to_themselves(
    fails: BaseException,
) -> None:
    with sender() as sent:
        end = sent.busy()
        waiting = [start(partial(sent.gathering.call, i)) for i in range(4)]
        until(lambda: sent.gathering.waiting == 4)
        sent.fails = fails
        end()
        told = [one.exception(30) or one.result() for one in waiting]
    assert told.count(fails) == 1
    assert [one for i, one in enumerate(told) if one not in (fails, f"{i}!")] == []


def test_an_exception_that_is_not_about_the_item_does_not_reach_its_caller() -> None:
    """`asyncio.gather(..., return_exceptions=True)` returns a CancelledError as a result, too."""

    async def asend(items: list[int]) -> list[Any]:
        await asyncio.sleep(0)
        if len(items) == 1:
            return [items[0] * 2]
        return [asyncio.CancelledError(), ALONE, StopIteration("no future takes it"), 6][
            : len(items)
        ]

    gathering: Gathering[int, int] = Gathering(_never, asend, max_batch=4, always=True)

    async def scenario() -> list[Any]:
        calls = [gathering.acall(i) for i in range(4)]
        return await asyncio.gather(*calls, return_exceptions=True)

    told = run(scenario)
    assert told[:2] == [0, 2]
    assert isinstance(told[2], RuntimeError)  # as of any coroutine that raises StopIteration
    assert told[3] == 6


def _never(items: list[int]) -> list[int]:
    raise AssertionError(items)


def test_a_sender_that_returns_too_little_is_asked_again_for_each() -> None:
    def send(items: list[int]) -> list[int]:
        return items[:1]

    async def asend(items: list[int]) -> list[int]:
        return items[:1] if len(items) < 3 else []

    gathering: Gathering[int, int] = Gathering(send, asend, max_batch=3, always=True)
    assert done([start(partial(gathering.call, i)) for i in range(3)]) == [0, 1, 2]
    broken: Gathering[int, int] = Gathering(lambda _: [], asend)
    with pytest.raises(ValueError, match="1 items were sent together and 0 results came back"):
        broken.call(1)


class Crowd:
    """Tasks on one gathering, cancelled from outside in any turn of the loop."""

    def __init__(self, **settings: Any) -> None:
        self.sent = Sender(**settings)
        self.sent.gate.set()
        self.tasks: list[asyncio.Task[Any]] = []

    async def play(self, steps: list[tuple[str, int]]) -> None:
        for name, which in steps:
            if name == "call":
                item = f"bad{which}" if which == 7 else len(self.tasks)
                self.tasks.append(asyncio.create_task(self.sent.gathering.acall(item)))
            elif name == "turn":
                await asyncio.sleep(0)
            else:
                for task in self.tasks[which : which + 1]:
                    task.cancel()
        if self.tasks:
            _, pending = await asyncio.wait(self.tasks, timeout=20)
            assert not pending, "somebody waits for ever"
        for number, task in enumerate(self.tasks):
            if not task.cancelled() and not isinstance(task.exception(), RefusedError):
                assert task.result() == f"{number}!"
        await auntil(lambda: len(self.sent.gathering._batches) == 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["call", "call", "cancel", "turn"]), st.integers(0, 7)),
        max_size=40,
    ),
    st.sampled_from([0.0, 0.001]),
    st.integers(1, 4),
    st.booleans(),
)
def test_whoever_is_cancelled_when_the_others_are_served(
    steps: list[tuple[str, int]], window: float, most: int, always: bool
) -> None:
    run(lambda: Crowd(window_s=window, max_batch=most, always=always).play(steps))


def test_a_cancel_at_every_turn_of_the_loop() -> None:
    for victim in range(5):
        for turns in range(12):
            steps = [("call", 0)] * 5 + [("turn", 0)] * turns + [("cancel", victim)]
            run(lambda s=steps: Crowd(window_s=0.001, max_batch=4).play(s))  # type: ignore[misc]
