"""Queues of requests under the test's control, and a look at what is left in them."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.config import SchedulerConfig
from aegis_llm.scheduler.dispatch import Dispatcher, Hold
from tests.races.kit import PATIENCE, until

REPLY = Reply(0.0, 0.01, 0.1, 0.0, 100, 10)


def job(model: str = "m", **given: Any) -> Job:
    """A request that comes now."""
    return Job(model, time.monotonic(), **given)


class Counter:
    """Makes queues, and counts what is in flight at once."""

    def __init__(self) -> None:
        self.queues: list[Dispatcher] = []
        self.served = self.flying = self.peak = 0
        self._lock = threading.Lock()

    def queue(self, slots: int | None = 1, **settings: Any) -> Dispatcher:
        """Return a new queue with a number of slots."""
        made = Dispatcher(SchedulerConfig(num_parallel=slots, **settings), "the test's server")
        self.queues.append(made)
        return made

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one that is in flight."""
        with self._lock:
            self.flying += 1
            self.peak = max(self.peak, self.flying)
        yield
        with self._lock:
            self.flying -= 1
            self.served += 1


def waiting(queue: Dispatcher) -> int:
    """Return how many requests wait."""
    return len(queue._places)


def flying(queue: Dispatcher) -> int:
    """Return how many requests are in flight."""
    return queue._queue.flying


def passes(queue: Dispatcher, model: str = "m") -> None:
    """See a request get its slot and give it back."""
    queue.enter(job(model, deadline=time.monotonic() + PATIENCE)).end(REPLY)


async def apasses(queue: Dispatcher, model: str = "m") -> None:
    """Like `passes`, awaited."""
    (await queue.aenter(job(model, deadline=time.monotonic() + PATIENCE))).end(REPLY)


async def steps(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def held(queue: Dispatcher, holds: list[Hold]) -> None:
    """Hold a slot for as long as the list does."""
    holds.append(await queue.aenter(job()))


def nothing_is_left(queue: Dispatcher) -> None:
    """Wait until nothing waits and nothing is in flight, and find no trace of a request."""
    gc.collect()
    until(lambda: queue.busy == 0)
    inner = queue._queue
    assert (queue._places, queue._let_in, queue._holds, list(queue._words)) == ({}, {}, {}, [])
    assert (dict(inner._waiting), inner._flying, inner._queued) == ({}, {}, {})
    assert inner._shares._jobs == {}
    for model in inner._models.values():
        assert (model.flying, model.lines, model.limit._flying) == ({}, {}, {})
        assert model.slots._marks == {}
        assert all(slot.job is None for slot in model.slots._slots)
