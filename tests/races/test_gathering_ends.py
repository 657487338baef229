"""Leaders that end too early: cancelled, closed with their loop, blocked, forked, at the exit."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aegis_llm.scheduler import gathering as gathering_module
from aegis_llm.scheduler.gathering import Gathering
from tests.races.gathering_kit import Sender, sender
from tests.races.kit import auntil, cancelled, done, run, start, until

ROOT = Path(__file__).resolve().parents[2]


async def gathered(sent: Sender, count: int) -> list[asyncio.Task[Any]]:
    """Return tasks that wait together."""
    tasks = [asyncio.create_task(sent.gathering.acall(i)) for i in range(count)]
    await auntil(lambda: sent.gathering.waiting == count)
    return tasks


@pytest.mark.parametrize("turns", range(8))
def test_a_leader_that_is_cancelled_takes_nobody_along(turns: int) -> None:
    """Told to send, about to send, sending: the batch goes on."""

    async def scenario(sent: Sender) -> list[Any]:
        first = asyncio.create_task(sent.gathering.acall("first"))
        await auntil(lambda: sent.held)
        tasks = await gathered(sent, 4)
        first.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancelled(tasks[0])
        sent.gate.set()
        return await asyncio.gather(*tasks[1:])

    with sender() as sent:
        assert run(lambda: scenario(sent)) == ["1!", "2!", "3!"]
    assert sum(len(batch) for batch in sent.batches[1:]) <= 4
    assert len(sent.batches) == 2


def test_a_batch_that_nobody_wants_any_more_is_cancelled() -> None:
    async def scenario(sent: Sender) -> None:
        tasks = [asyncio.create_task(sent.gathering.acall(i)) for i in range(3)]
        await auntil(lambda: sent.held)
        for task in tasks[:2]:
            await cancelled(task)
        assert not sent.cancelled
        await cancelled(tasks[2])
        assert sent.cancelled == 1

    with sender(max_batch=3, always=True) as sent:
        run(lambda: scenario(sent))
    assert sent.batches == [[0, 1, 2]]


def test_one_who_left_before_it_was_sent_is_not_sent() -> None:
    async def scenario(sent: Sender) -> list[Any]:
        tasks = await gathered(sent, 3)
        await cancelled(tasks[1])
        assert sent.gathering.waiting == 2
        tasks += [asyncio.create_task(sent.gathering.acall(i)) for i in (3, 4)]
        sent.gate.set()
        return await asyncio.gather(tasks[0], *tasks[2:])

    with sender(max_batch=4, always=True) as sent:
        assert run(lambda: scenario(sent)) == ["0!", "2!", "3!", "4!"]
    assert sent.batches == [[0, 2, 3, 4]]


def test_ctrl_c_takes_a_waiting_thread_out_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with sender() as sent:
        end = sent.busy()
        with monkeypatch.context() as patch:

            def interrupted(*_: Any) -> float:
                raise KeyboardInterrupt

            patch.setattr(sent.gathering._batches, "pause", interrupted)
            with pytest.raises(KeyboardInterrupt):
                sent.gathering.call("gone")
        assert sent.gathering.waiting == 0
        end()
    assert sent.items == ["first"]


def test_a_blocking_call_on_a_loops_thread_is_sent_at_once() -> None:
    """It cannot wait: the leader may be a task of that very loop."""

    async def scenario(sent: Sender) -> list[Any]:
        first = asyncio.create_task(sent.gathering.acall("first"))
        await auntil(lambda: sent.held)
        told = sent.gathering.call("blocking")
        sent.gate.set()
        return [told, await first]

    with sender() as sent:
        assert run(lambda: scenario(sent)) == ["blocking!", "first!"]


@pytest.mark.parametrize("threads", [1, 4])
def test_no_thread_of_an_executor_waits_for_a_task_that_needs_one(threads: int) -> None:
    async def asend(items: list[int]) -> list[int]:
        return await asyncio.to_thread(send, items)

    def send(items: list[int]) -> list[int]:
        return [item * 2 for item in items]

    gathering: Gathering[int, int] = Gathering(send, asend, window_s=0.005, max_batch=64)

    async def scenario() -> tuple[list[int], list[int]]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads))
        tasks = [asyncio.create_task(gathering.acall(i)) for i in range(16)]
        blocked = [asyncio.create_task(asyncio.to_thread(gathering.call, i)) for i in range(16)]
        return await asyncio.gather(*tasks), await asyncio.gather(*blocked)

    assert run(scenario) == ([i * 2 for i in range(16)],) * 2


def test_a_call_made_while_sending_does_not_wait_for_that_batch_to_be_back() -> None:
    def send(items: list[int]) -> list[int]:
        return [gathering.call(item - 1) + 1 if item else 0 for item in items]

    async def asend(items: list[int]) -> list[int]:
        return [await gathering.acall(item - 1) + 1 if item else 0 for item in items]

    gathering: Gathering[int, int] = Gathering(send, asend, window_s=0.001)
    assert done([start(partial(gathering.call, depth)) for depth in range(4)]) == [0, 1, 2, 3]

    async def scenario() -> list[int]:
        return await asyncio.gather(*[gathering.acall(depth) for depth in range(4)])

    assert run(scenario) == [0, 1, 2, 3]


@pytest.mark.parametrize("others", [[], ["thread"]])
def test_a_loop_that_is_closed_with_its_tasks_holds_up_nobody(others: list[str]) -> None:
    """As a notebook does it: stopped and closed, its tasks never ended."""
    sent = Sender()
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(sent.gathering.acall(item)) for item in ("first", 1, 2)]
    while not (sent.held and sent.gathering.waiting == 2):
        loop.run_until_complete(asyncio.sleep(0))
    threads = [start(partial(sent.gathering.call, item)) for item in others]
    until(lambda: sent.gathering.waiting == 2 + len(others))
    loop.close()
    sent.gate.set()

    # The next caller counts out what was under way on that loop.
    assert done([start(partial(sent.gathering.call, "next"))]) == ["next!"]
    assert done(threads) == [f"{item}!" for item in others]
    gathered = [[1, 2, *others]] if others else []
    assert sent.batches == [["first"], *gathered, ["next"]]
    _forget(tasks)
    assert len(sent.gathering._batches) == 0


def _forget(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    tasks.clear()
    gc.collect()


def test_a_task_does_not_follow_a_loop_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering_module, "_PATIENCE_S", 0.02)
    sent = Sender(max_batch=2, always=True)
    loop = asyncio.new_event_loop()
    follower = start(lambda: run(lambda: sent.gathering.acall(1)))
    until(lambda: sent.gathering.waiting == 1)
    tasks = [loop.create_task(sent.gathering.acall(2))]
    while not sent.held:
        loop.run_until_complete(asyncio.sleep(0))
    tasks += asyncio.all_tasks(loop)
    loop.close()
    assert done([follower]) == ["1!"]
    assert [sorted(batch) for batch in sent.batches] == [[1, 2], [1]]
    _forget(tasks)
    assert len(sent.gathering._batches) == 0


def test_a_task_does_not_follow_a_loop_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocking call on a loop's thread often runs a loop in another thread and waits for it."""
    monkeypatch.setattr(gathering_module, "_PATIENCE_S", 0.02)

    async def scenario(sent: Sender) -> list[Any]:
        other = start(lambda: run(lambda: sent.gathering.acall(2)))
        await auntil(lambda: sent.gathering.waiting == 1)
        leader = asyncio.create_task(sent.gathering.acall(1))
        await auntil(lambda: sent.held)
        told = done([other])
        sent.gate.set()
        return [*told, await leader]

    with sender(max_batch=2, always=True) as sent:
        assert run(lambda: scenario(sent)) == ["2!", "1!"]


@pytest.mark.parametrize("item", ["first", 1], ids=["sending", "waiting"])
def test_a_coroutine_that_is_collected_leaves_nothing(item: Any) -> None:
    sent = Sender(max_batch=2, always=item == 1)
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        task = loop.create_task(sent.gathering.acall(item))
        await auntil(lambda: sent.held or sent.gathering.waiting)
        task._log_destroy_pending = False  # type: ignore[attr-defined]

    loop.run_until_complete(begin())
    loop.close()
    gc.collect()
    sent.gate.set()
    assert done([start(partial(sent.gathering.call, 2))]) == ["2!"]
    assert sent.gathering.waiting == 0
    assert len(sent.gathering._batches) == 0


@pytest.mark.parametrize("item", ["first", 1, 2])
def test_a_coroutine_that_is_closed_holds_up_nobody(item: Any) -> None:
    """As garbage collection does it: while it sends, waits, or sends a batch."""

    async def scenario(sent: Sender) -> list[Any]:
        others = [asyncio.create_task(sent.gathering.acall(i)) for i in range(2, 2 + (item == 2))]
        await auntil(lambda: sent.gathering.waiting == len(others))
        call = sent.gathering.acall(item)
        call.send(None)
        call.close()
        sent.gate.set()
        others += [asyncio.create_task(sent.gathering.acall(i)) for i in (3, 4)]
        return await asyncio.gather(*others)

    with sender(max_batch=2, always=item != "first") as sent:
        assert run(lambda: scenario(sent)) == (["2!"] if item == 2 else []) + ["3!", "4!"]
    assert [3, 4] in sent.batches or [4] in sent.batches


FORKED = """
import os, signal, sys, threading, warnings
from functools import partial
from tests.races.gathering_kit import Sender
from tests.races.kit import start, until

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, which is the point
sys.setswitchinterval(1e-5)
sent = Sender()
end = sent.busy()
waiting = [start(partial(sent.gathering.call, i)) for i in range(8)]
until(lambda: sent.gathering.waiting == 8)
noise = Sender(window_s=0.0001)
noise.gate.set()
stop = []

def work(number):
    while not stop:
        noise.gathering.call(number)

threads = [start(partial(work, n)) for n in range(4)]
for turn in range(25):
    child = os.fork()
    if not child:
        signal.alarm(20)
        told = [s.gathering.call("child") for s in (sent, noise)]
        several = [start(partial(noise.gathering.call, n)) for n in range(8)]
        good = told == ["child!"] * 2 and [one.result(15) for one in several] == [
            f"{n}!" for n in range(8)
        ]
        os._exit(0 if good else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, turn
stop.append(True)
end()
print([one.result(20) for one in waiting + threads])
"""

FORKED_BY_THE_LEADER = """
import os, signal, warnings
from functools import partial
from aegis_llm.scheduler.gathering import Gathering
from tests.races.kit import done, start

warnings.simplefilter("ignore", DeprecationWarning)
parent, codes = os.getpid(), []

def send(items):
    if len(items) > 1:
        child = os.fork()
        if child:
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        else:
            signal.alarm(20)
    return [f"{item}!" for item in items]

def call(number):
    told = gathering.call(number)
    if os.getpid() != parent:
        os._exit(0 if gathering.call("again") == "again!" and told == f"{number}!" else 3)
    return told

gathering = Gathering(send, None, window_s=0.2, max_batch=3, always=True)
told = done([start(partial(call, number)) for number in range(3)])
print(told, codes, len(gathering._batches))
"""

WAITING_AT_THE_EXIT = """
import asyncio, threading
from functools import partial
from tests.races.gathering_kit import Sender
from tests.races.kit import start, until

sent = Sender()
sent.busy()
waiting = [start(partial(sent.gathering.call, i)) for i in range(8)]

async def main():
    tasks = [asyncio.create_task(sent.gathering.acall(i)) for i in range(8)]
    while sent.gathering.waiting < 16:
        await asyncio.sleep(0.001)

asyncio.run(main())
assert sent.gathering.waiting == 8
print("ended")
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (FORKED, str([f"{i}!" for i in range(8)] + [None] * 4)),
        (FORKED_BY_THE_LEADER, "['0!', '1!', '2!'] [0] 0"),
        (WAITING_AT_THE_EXIT, "ended"),
    ],
    ids=["forked", "forked by the leader", "waiting at the exit"],
)
def test_in_a_process_of_its_own(script: str, said: str) -> None:
    assert _run(script) == said


def _run(script: str) -> str:
    began = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert began.returncode == 0, began.stderr
    assert began.stderr == ""
    return began.stdout.strip()
