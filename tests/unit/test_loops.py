"""One object for each event loop, so that every `asyncio.run` has one that works."""

from __future__ import annotations

import asyncio
import gc
import math
import threading
import weakref

import pytest

from aegis_llm.scheduler.beats import Pulse
from aegis_llm.scheduler.loops import PerLoop


class Client:
    """Belongs to the loop that it was made on."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed_on: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed_on = asyncio.get_running_loop()


def clients() -> tuple[PerLoop[Client], list[Client]]:
    made: list[Client] = []

    def make() -> Client:
        made.append(Client())
        return made[-1]

    return PerLoop(make, Client.close), made


def test_one_loop_has_one_object() -> None:
    per_loop, made = clients()

    async def main() -> None:
        several = await asyncio.gather(*(per_loop.get() for _ in range(8)))
        assert {id(one) for one in several} == {id(await per_loop.get())}

    asyncio.run(main())
    assert len(made) == 1


def test_a_second_loop_has_another_and_each_is_closed_on_its_own() -> None:
    per_loop, made = clients()

    async def main() -> None:
        client = await per_loop.get()
        assert client.loop is asyncio.get_running_loop()
        assert client.closed_on is None

    for _ in range(3):
        asyncio.run(main())
    assert len(made) == 3
    assert all(client.closed_on is client.loop for client in made)


def test_loops_in_several_threads_at_once() -> None:
    per_loop, made = clients()
    meeting = threading.Barrier(4, timeout=10)

    async def main() -> None:
        client = await per_loop.get()
        await asyncio.to_thread(meeting.wait)
        assert await per_loop.get() is client

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert all(client.closed_on is client.loop for client in made)


def test_closing_early_makes_a_new_one_when_asked_again() -> None:
    per_loop, made = clients()

    async def main() -> None:
        first = await per_loop.get()
        await per_loop.aclose()
        await per_loop.aclose()
        assert first.closed_on is first.loop
        assert await per_loop.get() is not first

    asyncio.run(main())
    assert [client.closed_on is client.loop for client in made] == [True, True]


def test_an_object_that_cannot_be_closed_is_no_error() -> None:
    async def broken(_: Client) -> None:
        raise ConnectionResetError

    per_loop = PerLoop(Client, broken)

    async def main() -> None:
        await per_loop.get()

    asyncio.run(main())
    asyncio.run(main())


def test_an_object_that_cannot_be_made_is_tried_again() -> None:
    attempts: list[int] = []

    def make() -> Client:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionRefusedError
        return Client()

    per_loop = PerLoop(make, Client.close)

    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await per_loop.get()
        assert await per_loop.get() is await per_loop.get()

    asyncio.run(main())
    assert len(attempts) == 2


def test_a_cancelled_task_does_not_close_what_others_use() -> None:
    per_loop, made = clients()

    async def main() -> None:
        task = asyncio.create_task(per_loop.get())
        await task
        other = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        other.cancel()
        await asyncio.wait([other])
        assert made[0].closed_on is None

    asyncio.run(main())


def test_a_loop_that_is_gone_is_forgotten() -> None:
    per_loop, made = clients()

    async def main() -> weakref.ref[asyncio.AbstractEventLoop]:
        await per_loop.get()
        return weakref.ref(asyncio.get_running_loop())

    loop = asyncio.run(main())
    made.clear()
    gc.collect()
    assert loop() is None
    assert len(per_loop._by_loop) == 0


def test_the_pulse_of_a_loop_tells_how_long_it_has_stood_still() -> None:
    loop = asyncio.new_event_loop()
    pulse = Pulse(loop)
    assert [pulse.still_for(now) for now in (1.0, 2.0, 4.5)] == [0.0, 1.0, 3.5]
    loop.run_until_complete(asyncio.sleep(0))
    assert [pulse.still_for(now) for now in (9.0, 10.0)] == [0.0, 1.0]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert [pulse.still_for(now) for now in (11.0, 12.0)] == [math.inf, math.inf]
