"""The queue in front of a server: nothing lost, nothing twice, nobody left waiting."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.prefix import PLACES, Prefix, common, prefix_of
from aegis_llm.batching.queue import OVERTAKEN, Queue
from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import QueueFullError


def prompt(group: int, own: int, shared: int = 8, more: int = 2) -> Prefix:
    """A prompt that shares its first marks with those of its group."""
    marks = [hash((group, place)) for place in range(shared)]
    marks += [hash((group, own, place)) for place in range(shared, shared + more)]
    return Prefix(tuple(marks), PLACES[shared + more - 1])


asked = st.builds(
    dict,
    model=st.sampled_from(["a", "b", "c"]),
    group=st.integers(0, 3),
    priority=st.sampled_from([-1, 0, 0, 0, 5]),
    deadline=st.sampled_from([None, None, 5.0, 50.0]),
    tenant=st.sampled_from(["", "x", "y"]),
    takes=st.floats(0.1, 5.0),
)
steps = st.lists(
    st.one_of(asked, st.sampled_from(["end", "leave", "lost"])), min_size=1, max_size=80
)
configs = st.builds(
    SchedulerConfig,
    num_parallel=st.integers(1, 5),
    prefix_run=st.integers(1, 8),
    max_loaded_models=st.sampled_from([None, 1, 2]),
)


class Server:
    """Drives a queue and keeps book of what it does."""

    def __init__(self, config: SchedulerConfig) -> None:
        self.queue = Queue(config)
        self.config = config
        self.now = 0.0
        self.flying: list[tuple[float, int, Job]] = []
        self.sent: list[Job] = []
        self.waiting: dict[int, Job] = {}
        self.takes: dict[Job, float] = {}
        self.numbers = count()

    def ask(self, entry: dict, number: int) -> Job:
        """Submit a request and send what may be sent."""
        job = Job(
            entry["model"],
            self.now,
            prompt(entry["group"], number),
            priority=entry["priority"],
            deadline=entry["deadline"],
            tenant=entry["tenant"],
        )
        self.takes[job] = entry["takes"]
        self.queue.submit(job, self.now)
        self.waiting[job.number] = job
        self.move()
        return job

    def move(self) -> None:
        """Send what may be sent; check the slots."""
        while (job := self.queue.next(self.now)) is not None:
            assert self.waiting.pop(job.number) is job
            self.sent.append(job)
            heapq.heappush(self.flying, (self.now + self.takes[job], next(self.numbers), job))
        slots = Counter(job.model for _, _, job in self.flying)
        assert all(busy <= self.config.num_parallel for busy in slots.values())
        if not self.flying:
            assert not self.waiting  # a free server sends at once

    def end(self, reply: bool = True) -> None:
        """End the request that is over first."""
        if not self.flying:
            return
        self.now, _, job = heapq.heappop(self.flying)
        took = Reply(0.0, 0.1, self.takes[job] - 0.05, 0.0, 500, 20) if reply else None
        self.queue.done(job, self.now, took)
        self.move()

    def drain(self) -> None:
        """Let everything end."""
        while self.flying:
            self.end()


@given(configs, steps)
@settings(max_examples=150)
def test_nothing_is_lost_sent_twice_or_beyond_the_slots(config, steps) -> None:
    server, jobs, left = Server(config), [], []
    for number, step in enumerate(steps):
        if isinstance(step, dict):
            jobs.append(server.ask(step, number))
        elif step == "leave" and server.waiting:
            job = next(reversed(server.waiting.values()))
            server.queue.leave(server.waiting.pop(job.number))
            left.append(job)
            server.move()
        else:
            server.end(reply=step == "end")
    server.drain()
    assert not server.waiting
    assert server.queue.waiting == server.queue.flying == 0
    assert Counter(map(id, server.sent)) == Counter(id(job) for job in jobs if job not in left)


@given(configs, st.lists(asked, min_size=1, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_everyone_has_a_turn_whatever_comes_after(config, entries, random) -> None:
    """A stream of requests that the order prefers does not keep an old one waiting for ever."""
    server = Server(config)
    victim = {**entries[0], "priority": -1, "deadline": None, "model": "c", "group": 9}
    for number, entry in enumerate(entries):
        server.ask(entry, number)
    job = server.ask(victim, 1000)
    older = server.queue.waiting
    bound = (OVERTAKEN + older + 1) * 2 + config.num_parallel * 3
    for number in range(bound + 1):
        if job in server.sent:
            return
        preferred = {**random.choice(entries), "priority": 5, "model": "a"}
        server.ask(preferred, 2000 + number)
        server.end()
    pytest.fail(f"still waiting after {bound} others")


@given(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=2, max_size=60))
@settings(max_examples=100)
def test_those_of_one_prefix_keep_their_order(slots, groups) -> None:
    server = Server(SchedulerConfig(num_parallel=slots))
    plain = {"model": "a", "priority": 0, "deadline": None, "tenant": "", "takes": 1.0}
    for number, group in enumerate(groups):
        server.ask({**plain, "group": group}, number)
    server.drain()
    for group in set(groups):
        mark = prompt(group, 0).marks[7]
        numbers = [job.number for job in server.sent if job.prefix.marks[7] == mark]
        assert numbers == sorted(numbers)


@given(st.integers(1, 4), st.lists(st.sampled_from([0, 3, 7]), min_size=2, max_size=40))
@settings(max_examples=50)
def test_the_higher_priority_goes_first(slots, priorities) -> None:
    server = Server(SchedulerConfig(num_parallel=slots))
    plain = {"model": "a", "group": 0, "deadline": None, "tenant": "", "takes": 1.0}
    for number in range(slots):  # the slots are busy
        server.ask({**plain, "group": 100 + number, "priority": 0}, 1000 + number)
    for number, priority in enumerate(priorities):
        server.ask({**plain, "group": number, "priority": priority}, number)
    server.drain()
    sent = [job.priority for job in server.sent[slots:]]
    assert sent == sorted(sent, reverse=True)


@given(st.integers(1, 4), st.integers(1, 12))
def test_a_full_queue_says_so_at_once(slots, most) -> None:
    server = Server(SchedulerConfig(num_parallel=slots, max_queue=most))
    entry = {
        "model": "a", "group": 0, "priority": 0, "deadline": None, "tenant": "", "takes": 2.0,
    }  # fmt: skip
    for number in range(slots + most):
        server.ask({**entry, "group": number}, number)
    with pytest.raises(QueueFullError) as caught:
        server.ask({**entry, "group": 99}, 99)
    assert caught.value.waiting == most
    server.drain()
    assert len(server.sent) == slots + most


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=30), st.integers(1, 8))
def test_the_unconditional_window_gathers_and_then_sends(gaps, most) -> None:
    config = SchedulerConfig(num_parallel=8, window="always", window_ms=50, max_batch=most)
    queue, now, waiting = Queue(config), 0.0, {}
    for gap in gaps:
        now += gap
        job = Job("a", now)
        queue.submit(job, now)
        waiting[job] = now
        oldest = min(waiting.values())
        due = queue.due_at()
        assert due is None or due <= oldest + 0.05 + 1e-9
        may = len(waiting) >= most or now - oldest >= 0.05 - 1e-9 or due is None
        while (sent := queue.next(now)) is not None:
            assert may
            del waiting[sent]
            queue.done(sent, now)
    now += 0.05
    while (sent := queue.next(now)) is not None:
        del waiting[sent]
        queue.done(sent, now)
    assert not waiting


texts = st.lists(st.text(min_size=1, max_size=700), min_size=1, max_size=4)


@given(texts, texts)
@settings(max_examples=60)
def test_marks_tell_the_longest_common_prefix(left, right) -> None:
    one, two = prefix_of(left), prefix_of(right)
    whole, other = "\x00".join(left), "\x00".join(right)
    shared = 0
    while shared < min(len(whole), len(other)) and whole[shared] == other[shared]:
        shared += 1
    assert common(one, two) == sum(place <= shared for place in PLACES)
