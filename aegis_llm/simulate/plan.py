"""What each number of slots gives, and up to which rate it keeps a promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from aegis_llm.config import SchedulerConfig
from aegis_llm.config.checks import check_range, require
from aegis_llm.simulate.engine import simulate
from aegis_llm.simulate.load import Load
from aegis_llm.simulate.policy import Policy
from aegis_llm.simulate.scheduled import Scheduled
from aegis_llm.simulate.setup import Setup
from aegis_llm.simulate.tally import Outcome

_PROBES = 8
_PROBED = 4000
_LINE = 32
_FASTER = 2.0


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What users are promised: the 95th percentile in seconds; None: nothing.

    Attributes:
        ttft: From arrival to the first token.
        latency: From arrival to the last token.
    """

    ttft: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        for name in ("ttft", "latency"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1e-6, 1e9, "seconds, more than 0")
        require(self.ttft is not None or self.latency is not None, "no target", "give one")

    def met(self, outcome: Outcome) -> bool:
        """Return whether they are kept."""
        return (self.ttft is None or outcome.ttft.p95 <= self.ttft) and (
            self.latency is None or outcome.latency.p95 <= self.latency
        )


class Row(msgspec.Struct, frozen=True):
    """One number of slots.

    Attributes:
        parallel: Slots of a model on each server (OLLAMA_NUM_PARALLEL).
        scheduler: Whether the scheduler of this package decides who is sent when.
        outcome: What the asked load gives.
        overloaded: More is asked than the servers can answer: the queue grows without end, and
            the times in `outcome` say only how long it was played. A trace ends, and never is.
        capacity: Requests a second that the servers answer when many always wait.
        sustained: Highest rate of requests a second to the servers at which the targets are
            kept; None: they are not even kept for a single request, or a trace has no rate.
        sustained_with_cache: The same for all requests, when the cache answers its share.
    """

    parallel: int
    scheduler: bool
    outcome: Outcome
    overloaded: bool
    capacity: float
    sustained: float | None
    sustained_with_cache: float | None


def rows(
    setup: Setup,
    load: Load,
    parallels: Sequence[int],
    targets: Targets,
    *,
    schedulers: Sequence[bool] = (False,),
    tell: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Return one row for each number of slots and choice of scheduler.

    Args:
        setup: The servers; their number of slots is replaced.
        load: What is asked.
        parallels: Numbers of slots.
        targets: What is promised.
        schedulers: Without and with the scheduler.
        tell: Called after each of the rows.
    """
    made = []
    for parallel in parallels:
        for scheduler in schedulers:
            made.append(_row(_World(replace(setup, parallel=parallel), scheduler), load, targets))
            tell()
    return made


class _World:
    """Servers with somebody in front who decides."""

    def __init__(self, setup: Setup, scheduler: bool) -> None:
        self.setup = setup
        self.scheduler = scheduler

    def policy(self) -> Policy | None:
        if not self.scheduler:
            return None
        config = SchedulerConfig(
            num_parallel=self.setup.parallel, max_loaded_models=self.setup.max_loaded_models
        )
        return Scheduled(self.setup.servers, config)

    def play(self, load: Load) -> Outcome:
        return simulate(self.setup, load.source(), self.policy())

    def flood(self, load: Load, callers: int, requests: int) -> Outcome:
        return simulate(self.setup, load.always(callers, requests), self.policy())


def _row(world: _World, load: Load, targets: Targets) -> Row:
    setup = world.setup
    callers = max(_LINE, 4 * setup.parallel * setup.servers)
    few = min(load.requests, _PROBED)
    capacity = world.flood(load, callers, max(few, 8 * callers)).requests_per_s
    missed = 1 - load.hit_rate
    sustained = _highest(world, load, targets, capacity)
    return Row(
        parallel=setup.parallel,
        scheduler=world.scheduler,
        outcome=world.play(load),
        overloaded=load.rate is not None and load.rate * missed > capacity,
        capacity=capacity,
        sustained=sustained,
        # Arrivals thinned at random are arrivals at random: the rate is divided, that is all.
        sustained_with_cache=None if sustained is None else sustained / missed,
    )


def _highest(world: _World, load: Load, targets: Targets, capacity: float) -> float | None:
    """Return the highest rate at which the targets are kept, to a hundredth of the capacity."""
    few = min(load.requests, _PROBED)
    if not targets.met(world.flood(load, 1, min(few, 500))):
        return None
    plain = replace(load, hit_rate=0.0, requests=few)
    low, high = 0.0, capacity
    if plain.trace is not None:
        rate = plain.arrival_rate
        if rate is None:
            return None
        high = _FASTER * max(capacity, rate)  # a trace ends: for a while it may come faster
    for _ in range(_PROBES):
        middle = (low + high) / 2
        if targets.met(world.play(plain.at_rate(middle))):
            low = middle
        else:
            high = middle
    return low
