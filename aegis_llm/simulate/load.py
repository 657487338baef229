"""Requests made from rates, or replayed from a trace; the same seed gives the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import islice
from math import log, log1p, sqrt
from random import Random
from typing import Self

import msgspec

from aegis_llm.config.checks import check_range, check_whole, require
from aegis_llm.errors import ConfigError
from aegis_llm.simulate.jobs import Job, Source

_NEVER = float("inf")
_COUNT = "a whole number, 1 or more"
_TOKENS = 10_000_000


def _random(seed: int, what: str) -> Random:
    """Return numbers of their own for one thing: changing another leaves them as they were."""
    return Random(f"{seed} {what}")  # noqa: S311 - the same ones each time are the point


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked, and how often.

    Attributes:
        rate: Requests a second, at random times that know nothing of each other (Poisson).
        concurrent: Instead of a rate: so many callers, each of whom asks again when it has its
            answer.
        trace: Instead of both: requests with their times.
        requests: How many are played; of a trace, all.
        prompt_tokens: Tokens of the whole prompt, in the mean.
        output_tokens: Tokens of the answer, in the mean.
        vary: Standard deviation of the two over their mean (log-normal); 0: all are the same.
        prefix_tokens: Tokens with which each prompt begins, in common with others.
        contexts: Different prefixes of that length; each request has one of them at random.
        models: Different models; each request asks one of them at random.
        hit_rate: Share of the requests that the cache of this package answers.
        think_s: Seconds that each of the concurrent callers pauses before it asks again.
        seed: Where the random numbers begin.
    """

    rate: float | None = None
    concurrent: int | None = None
    trace: Sequence[Job] | None = None
    requests: int = 10_000
    prompt_tokens: int = 500
    output_tokens: int = 200
    vary: float = 0.5
    prefix_tokens: int = 0
    contexts: int = 1
    models: int = 1
    hit_rate: float = 0.0
    think_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        given = [
            name for name in ("rate", "concurrent", "trace") if getattr(self, name) is not None
        ]
        require(len(given) == 1, " and ".join(given) or "a load without requests",
                "give one of rate, concurrent and trace")  # fmt: skip
        if self.rate is not None:
            check_range("rate", self.rate, 1e-6, 1e6, "requests a second, more than 0")
        if self.concurrent is not None:
            check_whole("concurrent", self.concurrent, 1, 1_000_000, _COUNT)
        require(self.trace is None or len(self.trace) > 0, "an empty trace", "give requests")
        for name in ("requests", "contexts", "models"):
            check_whole(name, getattr(self, name), 1, 1 << 40, _COUNT)
        for name in ("prompt_tokens", "output_tokens"):
            check_whole(name, getattr(self, name), 1, _TOKENS, "a whole number of tokens")
        check_range("vary", self.vary, 0, 10, "a share of the mean, 0 or more")
        most = self.prompt_tokens - 1
        own = f"tokens from 0 to {most}: a prompt of {self.prompt_tokens} has one of its own"
        check_whole("prefix_tokens", self.prefix_tokens, 0, most, own)
        check_range("hit_rate", self.hit_rate, 0, 0.999, "a share from 0 to 0.999")
        check_range("think_s", self.think_s, 0, 1e6, "seconds, 0 or more")
        check_whole("seed", self.seed, 0, 1 << 64, "a whole number, 0 or more")

    def source(self) -> Source:
        """Return its requests, from the first on."""
        if self.trace is not None:
            return Arriving(iter(self._traced()))
        jobs = islice(self._jobs(), self.requests)
        if self.concurrent is not None:
            return Asking(jobs, self.concurrent, self.think_s)
        return Arriving(self._timed(jobs, self.rate or 1.0))

    @property
    def mean_context(self) -> int:
        """Tokens in a slot half way through an answer, in the mean."""
        if self.trace is None:
            return self.prompt_tokens + self.output_tokens // 2
        tokens = sum(job.prompt_tokens + job.output_tokens // 2 for job in self.trace)
        return tokens // len(self.trace)

    @property
    def arrival_rate(self) -> float | None:
        """Requests a second; None where callers wait for their answers."""
        if self.trace is not None:
            begins, ends = self.trace[0].at, self.trace[-1].at
            return (len(self.trace) - 1) / (ends - begins) if ends > begins else None
        return self.rate

    def at_rate(self, rate: float) -> Self:
        """Return the same requests at another rate; a trace is played faster or slower."""
        if self.trace is None:
            return replace(self, rate=rate, concurrent=None)
        now = self.arrival_rate
        if now is None:
            msg = "a trace whose requests all come at once has no rate"
            raise ConfigError(msg)
        begins = self.trace[0].at
        moved = [msgspec.structs.replace(job, at=(job.at - begins) * now / rate)
                 for job in self.trace]  # fmt: skip
        return replace(self, trace=moved)

    def always(self, callers: int, requests: int) -> Source:
        """Return up to so many of its requests, asked by callers who never pause, without hits."""
        if self.trace is None:
            jobs = replace(self, hit_rate=0.0)._jobs()
        else:
            jobs = (msgspec.structs.replace(job, hit=False) for job in self.trace)
        return Asking(islice(jobs, requests), callers, 0.0)

    def _traced(self) -> Iterator[Job]:
        hits = _random(self.seed, "hits")
        for job in self.trace or ():
            hit = job.hit or (self.hit_rate > 0 and hits.random() < self.hit_rate)
            yield msgspec.structs.replace(job, hit=hit)

    def _jobs(self) -> Iterator[Job]:
        """Make requests without end; their times are set by who asks."""
        own = _varied(self.prompt_tokens - self.prefix_tokens, self.vary, self.seed, "prompts")
        written = _varied(self.output_tokens, self.vary, self.seed, "outputs")
        which, hits = _random(self.seed, "which"), _random(self.seed, "hits")
        prefixes = [f"context {n}" if self.prefix_tokens else "" for n in range(self.contexts)]
        models = [f"model {n}" for n in range(self.models)]
        prefix, model = prefixes[0], models[0]
        while True:
            if self.contexts > 1:
                prefix = prefixes[int(which.random() * self.contexts)]
            if self.models > 1:
                model = models[int(which.random() * self.models)]
            yield Job(
                0.0,
                self.prefix_tokens + own(),
                written(),
                model,
                prefix,
                self.prefix_tokens,
                hit=hits.random() < self.hit_rate,
            )

    def _timed(self, jobs: Iterator[Job], rate: float) -> Iterator[Job]:
        gaps = _random(self.seed, "gaps")
        now = 0.0
        for job in jobs:
            now += gaps.expovariate(rate)
            job.at = now
            yield job


def _varied(mean: int, vary: float, seed: int, what: str) -> Callable[[], int]:
    """Return a source of whole numbers, 1 or more, log-normal around a mean."""
    if not vary:
        return lambda: mean
    draw = _random(seed, what).lognormvariate
    spread = log1p(vary * vary)
    middle, width = log(mean) - spread / 2, sqrt(spread)
    return lambda: max(1, round(draw(middle, width)))


class Arriving:
    """Requests that come at their times, whatever the server does."""

    def __init__(self, jobs: Iterator[Job]) -> None:
        self._jobs = jobs
        self._next = next(jobs, None)
        self.next_at = _NEVER if self._next is None else self._next.at

    def pop(self) -> Job:
        """Return the request that arrives at `next_at`."""
        job = self._next
        if job is None:
            msg = "no request is left"
            raise LookupError(msg)
        self._next = next(self._jobs, None)
        self.next_at = _NEVER if self._next is None else self._next.at
        return job

    def finished(self, now: float) -> None:
        """Whether anybody has an answer changes nothing."""


class Asking:
    """Callers who ask, wait for the answer, pause, and ask again."""

    def __init__(self, jobs: Iterator[Job], callers: int, pause: float) -> None:
        self._jobs = jobs
        self._pause = pause
        self._ready = [0.0] * callers
        self._next = next(jobs, None)
        self.next_at = _NEVER if self._next is None else 0.0

    def pop(self) -> Job:
        """Return the request that arrives at `next_at`."""
        job = self._next
        if job is None:
            msg = "no request is left"
            raise LookupError(msg)
        job.at = heappop(self._ready)
        self._next = next(self._jobs, None)
        self._look()
        return job

    def finished(self, now: float) -> None:
        """One caller has its answer and will ask again."""
        heappush(self._ready, now + self._pause)
        self._look()

    def _look(self) -> None:
        nobody = self._next is None or not self._ready
        self.next_at = _NEVER if nobody else self._ready[0]
