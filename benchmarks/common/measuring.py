"""Times several targets in one process, in interleaved blocks, so that noise meets all of them.

Every repetition warms up, then runs blocks of calls round robin, starting with another target in
every round. Garbage is collected before each block, outside the timing, and the collector stays
on inside it: each target pays for its own garbage and for nobody else's.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """One thing to time; `prepare(count)` runs before each block, untimed."""

    name: str
    call: Callable[[], object]
    prepare: Callable[[int], object] | None = None


@dataclass(frozen=True)
class Effort:
    """How much is measured: `repetitions` of `rounds` blocks of `block` calls for each target."""

    repetitions: int = 5
    rounds: int = 8
    block: int = 40

    @property
    def calls(self) -> int:
        """Timed calls of each target."""
        return self.repetitions * self.rounds * self.block


@dataclass(frozen=True)
class Ratio:
    """A ratio over all repetitions, and the least and the greatest of a single one."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass
class Timings:
    """The nanoseconds of every timed call of one target, by repetition."""

    name: str
    repetitions: list[list[int]] = field(default_factory=list)

    @property
    def all(self) -> list[int]:
        """All repetitions together."""
        return [value for repetition in self.repetitions for value in repetition]

    def percentile_us(self, percent: float) -> float:
        """Return a percentile in microseconds."""
        return percentile(self.all, percent) / 1000

    def rate(self) -> float:
        """Return calls a second, one after another."""
        return 1e9 / statistics.fmean(self.all)

    def over(self, floor: Timings) -> Ratio:
        """Return the ratio of the medians."""
        return _ratio(self, floor, statistics.median)

    def rate_over(self, floor: Timings) -> Ratio:
        """Return the ratio of calls a second."""
        return _ratio(floor, self, statistics.fmean)


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def interleave(targets: Sequence[Target], effort: Effort) -> dict[str, Timings]:
    """Time the targets against each other; return their timings by name."""
    timings = {target.name: Timings(target.name) for target in targets}
    gc.collect()
    gc.freeze()
    try:
        for _ in range(effort.repetitions):
            for target in targets:
                _block(target, effort.block)
            taken = {target.name: list[int]() for target in targets}
            for number in range(effort.rounds):
                first = number % len(targets)
                for target in (*targets[first:], *targets[:first]):
                    taken[target.name] += _block(target, effort.block)
            for name, values in taken.items():
                timings[name].repetitions.append(values)
    finally:
        gc.unfreeze()
    return timings


def _block(target: Target, count: int) -> list[int]:
    if target.prepare is not None:
        target.prepare(count)
    gc.collect()
    clock, call = time.perf_counter_ns, target.call
    taken = []
    for _ in range(count):
        start = clock()
        call()
        taken.append(clock() - start)
    return taken


def _ratio(above: Timings, below: Timings, middle: Callable[[list[int]], float]) -> Ratio:
    single = [
        middle(a) / middle(b) for a, b in zip(above.repetitions, below.repetitions, strict=True)
    ]
    return Ratio(middle(above.all) / middle(below.all), min(single), max(single))
