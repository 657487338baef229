"""Many callers at once, in threads, tasks and processes: one load; whoever leaves costs nobody."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aegis_llm.bootstrap.warming import Warmed, abootstrap, bootstrap, warmup
from aegis_llm.testing import HashedNgrams, OllamaSimulator, Timing
from tests.bootstrap.warming_kit import MODEL, SYSTEM, WAYS, warm
from tests.races.kit import auntil, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def slow() -> Iterator[OllamaSimulator]:
    """A server that takes a moment to load a model."""
    timing = Timing(load=0.3)
    with OllamaSimulator((MODEL,), timing=timing, embedder=HashedNgrams()) as running:
        yield running


def settings(sim: OllamaSimulator, **changed: Any) -> Any:
    return {"url": sim.base_url, "models": [MODEL], "redis_url": False, **changed}


def test_sixteen_threads_and_sixteen_tasks_are_one_run(slow: OllamaSimulator) -> None:
    start = threading.Barrier(17)

    def blocking() -> Warmed:
        start.wait(30)
        return bootstrap(**settings(slow, prefixes=[SYSTEM]))

    async def awaited() -> list[Warmed]:
        await asyncio.to_thread(start.wait, 30)
        every = (abootstrap(**settings(slow, prefixes=[SYSTEM])) for _ in range(16))
        return await asyncio.gather(*every)

    with ThreadPoolExecutor(17) as pool:
        threads = [pool.submit(blocking) for _ in range(16)]
        tasks = pool.submit(asyncio.run, awaited())
        results = [one.result(60) for one in threads] + tasks.result(60)

    assert slow.loads == 1
    assert [warmed.problems for warmed in results] == [()] * 32
    assert slow.count("/api/version") == len({id(warmed) for warmed in results}) <= 8
    assert len(warmup._work) == 0


@pytest.mark.parametrize("way", WAYS)
def test_who_comes_while_one_is_under_way_gets_its_result(
    slow: OllamaSimulator, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed: list[Any] = []
    claim = warmup._work.claim
    monkeypatch.setattr(
        warmup._work, "claim", lambda *given: (claim(*given), claimed.append(given))[0]
    )
    slow.gate.clear()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(warm, way, **settings(slow))
        slow.wait_for(2, "/api/chat")  # the load, and the request after it
        others = [pool.submit(warm, WAYS[n % 2], **settings(slow)) for n in range(8)]
        until(lambda: len(claimed) == 9)
        slow.gate.set()
        assert {id(one.result(30)) for one in others} == {id(first.result(30))}
    assert slow.count("/api/version") == 1


def test_calls_that_want_other_things_are_not_one(slow: OllamaSimulator) -> None:
    with ThreadPoolExecutor(2) as pool:
        wanted = ({"num_ctx": 4096}, {"num_ctx": 8192})
        results = list(pool.map(lambda o: bootstrap(**settings(slow, options=o)), wanted))
    assert slow.count("/api/version") == 2
    assert results[0] is not results[1]


def test_several_processes_at_once_load_once(slow: OllamaSimulator) -> None:
    program = (
        "from aegis_llm.bootstrap.warming import bootstrap\n"
        f"w = bootstrap(url={slow.base_url!r}, models=[{MODEL!r}], redis_url=False)\n"
        "assert w.ok, w.problems"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=os.environ)
        for _ in range(2)
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    assert slow.loads == 1


async def test_a_task_that_is_cancelled_leaves_nothing_under_way(slow: OllamaSimulator) -> None:
    task = asyncio.create_task(abootstrap(**settings(slow)))
    await asyncio.to_thread(slow.wait_for, 1, "/api/chat")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await auntil(lambda: slow.in_flight == 0)
    assert slow.loads == 0
    assert len(warmup._work) == 0


async def test_who_waits_for_a_cancelled_task_takes_over(slow: OllamaSimulator) -> None:
    first = asyncio.create_task(abootstrap(**settings(slow)))
    await asyncio.to_thread(slow.wait_for, 1, "/api/chat")
    second = asyncio.create_task(abootstrap(**settings(slow)))
    third = asyncio.create_task(asyncio.to_thread(bootstrap, **settings(slow)))
    await asyncio.sleep(0)

    first.cancel()

    assert (await second).ok
    assert (await third).ok
    assert slow.loads == 1


def test_who_waits_has_a_time_limit_of_its_own() -> None:
    with (
        OllamaSimulator((MODEL,), timing=Timing(load=600)) as slow,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(bootstrap, **settings(slow, timeout_s=2.0))
        slow.wait_for(1, "/api/chat")
        second = bootstrap(**settings(slow, timeout_s=0.2))
        third = asyncio.run(abootstrap(**settings(slow, timeout_s=0.2)))
        assert not first.done()
        why = f"{slow.base_url} is still being warmed by another call after 0.2 s"
        assert second.problems == third.problems == (why,)
        assert first.result(30).failed


async def test_a_blocking_call_in_a_task_does_not_wait_for_its_own_loop(
    slow: OllamaSimulator,
) -> None:
    task = asyncio.create_task(abootstrap(**settings(slow)))
    await asyncio.to_thread(slow.wait_for, 1, "/api/chat")

    assert bootstrap(**settings(slow)).ok

    assert (await task).ok
    assert slow.loads == 1


def test_the_threads_of_a_warm_up_end(slow: OllamaSimulator) -> None:
    bootstrap(**settings(slow, prefixes=[SYSTEM]))
    alive = [t for t in threading.enumerate() if t.name.startswith("aegis-")]
    assert all(thread.daemon for thread in alive)
    until(lambda: slow.in_flight == 0)
