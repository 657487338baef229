"""Several models on a server that has no room for all: the queue never stands still."""

from __future__ import annotations

import heapq
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.batching.jobs import Job, Reply
from aegis_llm.batching.queue import Queue
from aegis_llm.batching.residents import TURN, Residents
from aegis_llm.config import SchedulerConfig

LOAD_S = 1.0


class Server:
    """An Ollama that loads models, `room` at once, and the requests to it."""

    def __init__(self, config: SchedulerConfig, room: int, turns: Random) -> None:
        self.queue = Queue(config)
        self.room = room
        self.turns = turns
        self.now = 0.0
        self.waiting: list[Job] = []
        self.flying: list[tuple[float, int, Job, Reply]] = []
        self.loaded: list[str] = []
        self._numbers = count()

    def ask(self, model: str, **given: object) -> Job:
        """Submit a request and send what may be sent."""
        job = Job(model, self.now, **given)  # type: ignore[arg-type]
        self.queue.submit(job, self.now)
        self.waiting.append(job)
        self.move()
        return job

    def leave(self, job: Job) -> None:
        """Give up a request that waits."""
        self.waiting.remove(job)
        self.queue.leave(job)
        self.move()

    def end(self, answered: float = 1.0) -> None:
        """End the request that is over first; it may have no reply."""
        self.now, _, job, reply = heapq.heappop(self.flying)
        self.queue.done(job, self.now, reply if self.turns.random() < answered else None)
        self.move()

    def move(self) -> None:
        """Send what may be sent; an idle server has nobody waiting."""
        while (job := self.queue.next(self.now)) is not None:
            self.waiting.remove(job)
            load_s = 0.0 if job.model in self.loaded else LOAD_S
            if load_s:
                self.loaded = [*self.loaded, job.model][-self.room :]
            takes_s = self.turns.uniform(0.1, 2.0)
            wait_s = self.turns.choice([0.0, 0.3])
            reply = Reply(load_s, 0.1, takes_s - 0.05, wait_s, 500, 20)
            end = self.now + load_s + takes_s
            heapq.heappush(self.flying, (end, next(self._numbers), job, reply))
        assert self.flying or not self.waiting

    def drain(self) -> None:
        """Let everything end."""
        while self.flying:
            self.end()
        assert not self.waiting


@given(
    st.integers(0, 1 << 32),
    st.integers(1, 3),
    st.integers(2, 4),
    st.sampled_from([None, 1, 4]),
    st.booleans(),
)
@settings(max_examples=40)
def test_an_idle_server_has_nobody_waiting(seed, room, models, slots, told) -> None:
    turns = Random(seed)
    config = SchedulerConfig(num_parallel=slots, max_loaded_models=room if told else None)
    server = Server(config, room, turns)
    rates = [turns.random() ** 3 + 0.01 for _ in range(models)]
    for step in range(1200):
        rush = 0.65 if step % 400 < 300 else 0.2
        event = turns.random()
        if event < rush:
            server.ask(
                turns.choices("abcd"[:models], rates)[0],
                priority=turns.choice([0, 0, 0, 1]),
                tenant=turns.choice(["", "x"]),
            )
        elif event < rush + 0.04 and server.waiting:
            server.leave(turns.choice([server.waiting[0], turns.choice(server.waiting)]))
        elif server.flying:
            server.end(answered=0.9)
        if turns.random() < 0.002:
            server.queue.went_away()
            server.loaded.clear()
    server.drain()


def test_a_claim_is_over_when_its_request_has_left() -> None:
    residents = Residents(1)
    residents.sent("a", {}, {"a": 1})
    residents.claim("b")
    assert not residents.may_send("c", {}, {"b": 1, "c": 1})
    assert residents.may_send("c", {}, {"c": 1})


def test_a_claim_is_over_when_its_model_is_loaded() -> None:
    """By a reply to a request that was sent before it was known that there is no room."""
    residents = Residents(1)
    residents.sent("a", {}, {"a": 1})
    residents.claim("b")
    for _ in range(TURN):
        residents.sent("a", {}, {"a": 1, "b": 1})
    assert not residents.may_send("a", {}, {"a": 1, "b": 1})
    residents.replied("b", LOAD_S, 0.5, 1.0)
    assert residents.may_send("b", {}, {"b": 1, "c": 1})


@pytest.mark.parametrize("loaded", ["ab", "ba"])
def test_a_model_makes_way_that_has_nothing_in_flight(loaded: str) -> None:
    server = Server(SchedulerConfig(num_parallel=1, max_loaded_models=2), 2, Random(1))
    for model in loaded:
        server.ask(model)
        server.end()
    server.ask("a")
    server.ask("c")
    assert server.queue._residents.has("a")
    assert not server.queue._residents.has("b")
    server.drain()
