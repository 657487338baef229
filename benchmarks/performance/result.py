"""What a part of the table yields: lines for the summary and tables with the details."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.common.measuring import Ratio, Timings
from benchmarks.common.report import Table


@dataclass(frozen=True)
class Line:
    """One line of the summary: a figure, its floor, their ratio and what it should reach."""

    what: str
    figure: str
    floor: str
    ratio: str
    reach: str
    met: bool | None

    def cells(self) -> Sequence[str]:
        """Return the line's cells."""
        met = "" if self.met is None else ("yes" if self.met else "**no**")
        return (self.what, self.figure, self.floor, self.ratio, self.reach, met)


@dataclass
class Result:
    """Lines of the summary and tables with the details."""

    lines: list[Line] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Take in another result."""
        self.lines += other.lines
        self.tables += other.tables


def at_most(what: str, ours: Timings, floor: Timings, reach: float | None) -> Line:
    """Return the line of a time, whose ratio to the floor should be at most `reach`."""
    ratio = ours.over(floor)
    return Line(
        what,
        f"{ours.percentile_us(50):.0f} us",
        f"{floor.percentile_us(50):.0f} us",
        str(ratio),
        "" if reach is None else f"<= {reach}",
        None if reach is None else ratio.value <= reach,
    )


def at_least(what: str, ours: str, floor: str, ratio: Ratio, reach: float) -> Line:
    """Return the line of a rate, whose ratio to the floor should be at least `reach`."""
    return Line(what, ours, floor, str(ratio), f">= {reach}", ratio.value >= reach)


def details(title: str, timings: Mapping[str, Timings], floor: str, note: str = "") -> Table:
    """Return a table with the percentiles of all targets, and their ratio to the floor."""
    table = Table(title, ("us", "p50", "p95", "p99", "x floor"), note=note)
    for name, taken in timings.items():
        figures = [f"{taken.percentile_us(percent):.1f}" for percent in (50, 95, 99)]
        against = "1" if name == floor else str(taken.over(timings[floor]))
        table.rows.append((name, *figures, against))
    return table
