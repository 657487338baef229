"""The slots of a server, found out from its replies."""

from __future__ import annotations

import heapq
import random

import pytest

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.queue import Queue
from aegis_llm.config import SchedulerConfig

OTHERS = "theirs"
"""Stands for requests that other programs send, one after the other by each of their callers."""


class Server:
    """An Ollama with some slots, first come first served, in virtual time."""

    def __init__(self, slots: int, *, prefill_s: float = 0.05, seed: int = 1) -> None:
        self.slots = slots
        self.prefill_s = prefill_s
        self.random = random.Random(seed)
        self.now = 0.0
        self.queue = Queue(SchedulerConfig())
        self.running: list[tuple[float, int, Job, Reply]] = []
        self.queued: list[Job] = []
        self.prefill_free = 0.0
        self.replies = 0
        self.peak = 0
        self.numbers = iter(range(1_000_000))
        self.others = 0

    def ask(self, count: int) -> None:
        for _ in range(count):
            self.queue.submit(Job("m", self.now), self.now)
        self.move()

    def move(self) -> None:
        while (job := self.queue.next(self.now)) is not None:
            self.queued.append(job)
        theirs = [job for job in self.queued if job.model == OTHERS]
        theirs += [job for _, _, job, _ in self.running if job.model == OTHERS]
        for _ in range(self.others - len(theirs)):
            self.queued.append(Job(OTHERS, self.now, sent=self.now))
        self.peak = max(self.peak, len(self.queued) + len(self.running))
        while self.queued and len(self.running) < self.slots:
            job = self.queued.pop(0)
            # Prompts are read one after the other; the wait for that is reported nowhere.
            begun = max(self.now, self.prefill_free)
            self.prefill_free = begun + self.prefill_s
            decode = self.random.uniform(0.6, 1.4)
            end = begun + self.prefill_s + decode
            wait = begun - job.sent + self.random.uniform(0, 0.004)
            reply = Reply(0.01, self.prefill_s, decode, wait, 300, 40)
            heapq.heappush(self.running, (end, next(self.numbers), job, reply))

    def end(self) -> None:
        self.now, _, job, reply = heapq.heappop(self.running)
        if job.model == OTHERS:
            self.move()
            return
        self.replies += 1
        self.queue.done(job, self.now + self.random.uniform(0, 0.003), reply)
        self.move()

    def drain(self) -> None:
        while any(job.model != OTHERS for _, _, job, _ in self.running) or any(
            job.model != OTHERS for job in self.queued
        ):
            self.end()

    @property
    def found(self) -> int | None:
        return self.queue.slots("m")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slots", [1, 2, 4, 8])
def test_the_slots_are_found_within_twenty_requests(slots: int, seed: int) -> None:
    server = Server(slots, seed=seed)
    server.ask(64)
    while server.found is None:
        server.end()
    assert server.replies <= 20
    assert server.found == slots


@pytest.mark.parametrize("slots", [1, 2, 4, 8])
def test_once_found_at_most_one_more_is_in_flight(slots: int) -> None:
    server = Server(slots)
    server.ask(40)
    server.drain()
    server.peak = 0
    for _ in range(10):
        server.ask(40)
        server.drain()
    assert server.found == slots
    assert slots <= server.peak <= slots + 1


@pytest.mark.parametrize(("before", "after"), [(8, 2), (4, 1), (2, 8), (1, 4)])
def test_a_server_that_comes_back_with_other_slots_is_followed(before: int, after: int) -> None:
    server = Server(before)
    server.ask(60)
    server.drain()
    assert server.found == before
    server.slots = after
    server.queue.went_away()
    server.ask(60)
    server.drain()
    assert server.found == after


@pytest.mark.parametrize(("before", "after"), [(8, 2), (4, 1), (1, 2), (2, 3)])
def test_it_is_followed_even_where_nobody_saw_it_go(before: int, after: int) -> None:
    server = Server(before)
    server.ask(60)
    server.drain()
    server.slots = after
    server.ask(400)
    server.drain()
    assert server.found == after


def test_few_requests_at_a_time_say_nothing_about_the_slots() -> None:
    server = Server(8)
    for _ in range(30):
        server.ask(3)
        server.drain()
    assert server.found is None
    server.peak = 0
    server.ask(32)
    assert server.peak == 32  # as without the package


@pytest.mark.parametrize("slots", [4, 8])
def test_where_prompts_hold_up_each_other_no_time_is_lost(slots: int) -> None:
    """Then the slots show nowhere: their prompts are read one by one, whatever is in flight."""
    server, took = Server(slots, prefill_s=1.5), []
    for _ in range(12):
        begun = server.now
        server.ask(12)
        server.drain()
        took.append(server.now - begun)
    assert server.found is not None
    assert took[-1] <= 1.03 * took[0]


@pytest.mark.parametrize(("slots", "others"), [(4, 12), (8, 40), (4, 2), (2, 8)])
def test_beside_other_programs_nothing_is_held_back_and_nothing_unlearned(
    slots: int, others: int
) -> None:
    server = Server(slots)
    server.ask(64)
    server.drain()
    assert server.found == slots
    server.others = others
    for _ in range(12):  # sixteen callers
        server.ask(16)
        server.drain()
    assert server.found is not None
    assert server.found >= min(slots, 2 + slots // 2)
    if others > slots:
        server.peak = 0
        server.ask(30)
        assert server.peak >= 30  # as without the package: who holds back gets less
        server.drain()
    server.others = 0
    server.ask(200)
    server.drain()
    assert server.found == slots
    server.peak = 0
    server.ask(100)
    server.drain()
    assert server.peak <= slots + 1


def test_a_guess_from_long_prompts_grows_when_they_are_short() -> None:
    server = Server(8, prefill_s=1.5)
    server.ask(100)
    server.drain()
    assert server.found is not None
    assert server.found < 8
    server.prefill_s = 0.01
    server.ask(40)
    server.drain()
    server.ask(60)
    server.drain()
    assert server.found == 8


def test_a_known_family_begins_with_its_one_slot() -> None:
    server = Server(1)
    server.queue.family_has("m", 1)
    server.ask(10)
    assert server.peak == 1
    server.drain()
    assert server.found == 1


def test_replies_without_times_change_nothing() -> None:
    queue = Queue(SchedulerConfig())
    for number in range(50):
        job = Job("m", float(number))
        queue.submit(job, float(number))
        assert queue.next(float(number)) is job
        queue.done(job, number + 0.5)
    assert queue.slots("m") is None
