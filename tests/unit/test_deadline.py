"""The deadline of an awaited reply: exact on an idle loop, patient on a busy one."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from aegis_llm.stores.deadline import within
from tests.unit.virtual_loop import loop, run


async def never() -> None:
    await asyncio.get_running_loop().create_future()


def current() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


def test_what_is_in_time_is_returned() -> None:
    async def main() -> str:
        return await within(0.02, asyncio.sleep(0.0199, "reply"))

    assert run(main()) == "reply"


def test_an_error_in_time_is_raised() -> None:
    async def broken() -> None:
        await asyncio.sleep(0.01)
        raise ConnectionResetError

    async def main() -> None:
        with pytest.raises(ConnectionResetError):
            await within(0.02, broken())
        assert current().cancelling() == 0

    run(main())


def test_on_an_idle_loop_it_ends_exactly_in_time() -> None:
    async def main() -> float:
        began = loop().time()
        with pytest.raises(TimeoutError):
            await within(0.02, never())
        assert current().cancelling() == 0
        return loop().time() - began

    assert run(main()) == pytest.approx(0.02)


def test_a_loop_that_was_blocked_once_does_not_cost_the_reply() -> None:
    """The reply lay ready in the socket, but the loop was busy for a second."""

    async def main() -> str:
        reply = loop().create_future()
        loop().call_later(0.001, loop().work, 1.0)
        loop().call_later(0.0011, reply.set_result, "reply")
        return str(await within(0.02, reply))

    assert run(main()) == "reply"


def test_a_loop_that_is_always_busy_still_comes_to_an_end() -> None:
    async def main() -> int:
        turns = 0

        async def busy() -> None:
            nonlocal turns
            while True:
                turns += 1
                loop().work(0.1)
                await asyncio.sleep(0)

        other = asyncio.create_task(busy())
        with pytest.raises(TimeoutError):
            await within(0.02, never())
        other.cancel()
        return turns

    assert 5 <= run(main()) <= 12


def test_a_cancellation_from_outside_passes_through() -> None:
    async def main() -> None:
        task = asyncio.create_task(within(0.02, never()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(main())


def test_a_cancellation_in_the_same_moment_passes_through() -> None:
    async def main() -> None:
        task = asyncio.create_task(within(0.02, never()))
        await asyncio.sleep(0)
        for tick in range(1, 6):
            loop().call_at(1000.0 + 0.02 * tick / 5, lambda: None)
        loop().call_at(1000.0 + 0.02, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_cancellation_while_the_late_call_cleans_up_passes_through() -> None:
    async def stubborn() -> None:
        try:
            await never()
        finally:
            await asyncio.sleep(0.5)

    async def main() -> None:
        task = asyncio.create_task(within(0.02, stubborn()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_an_enclosing_timeout_still_works() -> None:
    async def main() -> float:
        async def several() -> None:
            for _ in range(10):
                with contextlib.suppress(TimeoutError):
                    await within(0.02, never())

        began = loop().time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(several(), 0.05)
        return loop().time() - began

    assert run(main()) == pytest.approx(0.05)


def test_it_works_while_the_task_itself_is_being_cancelled() -> None:
    """A model is asked once more in somebody's `finally`."""

    async def cleaning_up() -> str:
        try:
            await never()
        except asyncio.CancelledError:
            with pytest.raises(TimeoutError):
                await within(0.02, never())
            assert current().cancelling() == 1
            return await within(0.02, asyncio.sleep(0.01, "said goodbye"))
        raise AssertionError

    async def main() -> str:
        task = asyncio.create_task(cleaning_up())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert run(main()) == "said goodbye"


def test_a_call_that_turns_the_cancellation_into_an_error_leaves_none_behind() -> None:
    async def turning() -> None:
        try:
            await never()
        except asyncio.CancelledError:
            raise ConnectionResetError from None

    async def swallowing() -> str:
        try:
            await never()
        except asyncio.CancelledError:
            return "reply after all"
        raise AssertionError

    async def main() -> None:
        with pytest.raises((ConnectionResetError, TimeoutError)):
            await within(0.02, turning())
        assert current().cancelling() == 0
        assert await within(0.02, swallowing()) == "reply after all"
        assert current().cancelling() == 0
        await asyncio.sleep(0.1)

    run(main())


def test_no_timer_is_left_behind() -> None:
    async def main() -> None:
        await within(0.02, asyncio.sleep(0.001))
        with pytest.raises(ZeroDivisionError):
            await within(0.02, asyncio.to_thread(lambda: 1 / 0))
        assert all(handle.cancelled() for handle in loop()._scheduled)  # type: ignore[attr-defined]

    run(main())
