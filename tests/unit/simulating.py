"""Servers and requests for tests of the simulation, and a slow second opinion."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from aegis_llm.simulate import Job, Outcome, Setup, Speed, simulate
from aegis_llm.simulate.load import Arriving
from aegis_llm.testing.slots import Slots


def speed(decode: float = 10.0, *, prefill: float = inf, contention: float = 0.0) -> Speed:
    return Speed(prefill=prefill, decode=((1, decode),), contention=contention)


def job(at: float = 0.0, prompt: int = 1, output: int = 10, **more: object) -> Job:
    return Job(at, prompt, output, **more)  # type: ignore[arg-type]


def play(setup: Setup, jobs: Iterable[Job]) -> Outcome:
    return simulate(setup, Arriving(iter(jobs)))


@dataclass
class _Held:
    job: Job
    slot: int
    left: float
    said: float = 0.0
    first_at: float = 0.0


@dataclass
class SecondOpinion:
    """The same server in small steps of time, with the slots that compare token by token."""

    setup: Setup
    step: float = 0.002
    waits: list[float] = field(default_factory=list)
    ttfts: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    read: int = 0

    def play(self, jobs: Sequence[Job]) -> None:
        coming, waiting = deque(jobs), deque[tuple[int, Job]]()
        reading, writing = deque[_Held](), list[_Held]()
        slots = Slots(self.setup.parallel, self.setup.host_cache_tokens)
        speed, now, number = self.setup.speed, 0.0, 0
        while coming or waiting or reading or writing:
            while coming and coming[0].at <= now:
                number += 1
                waiting.append((number, coming.popleft()))
            while waiting and slots.idle:
                number_of, one = waiting.popleft()
                slot, reused = slots.take(_tokens(one, number_of), now)
                reading.append(_Held(one, slot, one.prompt_tokens - reused))
                self.read += one.prompt_tokens - reused
                self.waits.append(now - one.at)
            rate = speed.per_slot(len(writing)) if writing else 0.0
            if reading and self.setup.num_batch:
                rate = min(rate, speed.prefill / self.setup.num_batch)
            for held in list(writing):
                held.said += rate * self.step
                if held.said >= held.job.output_tokens:
                    writing.remove(held)
                    slots.give_back(held.slot, ("said",) * held.job.output_tokens, now)
                    self.ttfts.append(held.first_at - held.job.at)
                    self.latencies.append(now - held.job.at)
            if reading:
                reading[0].left -= speed.prefill * self.step
                if reading[0].left <= 0:
                    held = reading.popleft()
                    writing.append(held)
                    held.first_at = now + 1 / speed.per_slot(len(writing))
            now += self.step


def _tokens(one: Job, number: int) -> tuple[str, ...]:
    shared = tuple(f"{one.prefix} {n}" for n in range(one.prefix_tokens))
    return shared + (f"own {number}",) * (one.prompt_tokens - one.prefix_tokens)
