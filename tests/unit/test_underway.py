"""What is being computed, by whom, and who may wait for it."""

from __future__ import annotations

import asyncio
import threading

from aegis_llm.scheduler.underway import UnderWay
from tests.races.kit import done, start


def test_each_key_is_led_by_one_caller_at_a_time() -> None:
    work: UnderWay[str, int] = UnderWay()
    one = work.claim(("a", "b"), None)
    two = work.claim(("b", "c"), None)
    assert (one.mine, list(one.others)) == (("a", "b"), [])
    assert (two.mine, list(two.others)) == (("c",), ["b"])
    one.settle({"b": 7})
    assert work.wait(two.others["b"]) == 7
    three = work.claim(("a", "b"), None)
    assert (three.mine, list(three.others)) == (("b",), ["a"])
    one.release()
    assert work.wait(three.others["a"]) is None
    two.release()
    three.release()
    assert len(work) == 0


def test_who_releases_what_was_settled_takes_nothing_from_the_next_one() -> None:
    work: UnderWay[str, int] = UnderWay()
    one = work.claim(("a",), None)
    one.settle({"a": 1})
    work.claim(("a",), None)
    one.release()
    assert len(work) == 1


def test_a_forked_child_ends_nothing_of_its_own_with_what_the_parent_led() -> None:
    work: UnderWay[str, int] = UnderWay()
    parents = work.claim(("a",), None)
    work.renew()
    child = work.claim(("a",), None)
    parents.release()
    assert work.claim(("a",), None).mine == ()
    child.release()


def test_a_blocking_call_on_a_loop_waits_for_nobody() -> None:
    """Two loops whose threads wait for each other's tasks would never go on."""
    work: UnderWay[str, int] = UnderWay()
    leader = done([start(lambda: work.claim(("a",), None))])[0]

    async def scenario() -> int | None:
        return work.wait(work.claim(("a",), None).others["a"])

    assert done([start(lambda: asyncio.run(scenario()))]) == [None]
    leader.settle({"a": 1})


def test_a_caller_does_not_wait_for_itself() -> None:
    work: UnderWay[str, int] = UnderWay()
    claim = work.claim(("a",), None)
    inner = work.claim(("a",), None)
    assert work.wait(inner.others["a"]) is None
    claim.settle({"a": 3})
    assert work.wait(inner.others["a"]) == 3


def test_cancelling_one_who_waits_cancels_nobody_else() -> None:
    work: UnderWay[str, int] = UnderWay()
    leader = done([start(lambda: work.claim(("a",), None))])[0]

    async def scenario() -> list[int | None]:
        waiting = [
            asyncio.create_task(work.await_(work.claim(("a",), None).others["a"]))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        waiting.pop().cancel()
        await asyncio.sleep(0)
        leader.settle({"a": 5})
        return await asyncio.gather(*waiting)

    assert done([start(lambda: asyncio.run(scenario()))]) == [[5, 5]]


def test_a_thread_waits_as_long_as_it_takes() -> None:
    work: UnderWay[str, int] = UnderWay()
    leader = work.claim(("a",), None)
    entered = threading.Event()

    def follow() -> int | None:
        others = work.claim(("a",), None).others
        entered.set()
        return work.wait(others["a"])

    follower = start(follow)
    assert entered.wait(10)
    leader.settle({"a": 2})
    assert done([follower]) == [2]
