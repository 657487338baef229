"""Figures before and after as tables: two files, or two ways through one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from aegis_llm.bench.comparing import Comparison
from aegis_llm.bench.ratios import OVER_ALL
from aegis_llm.bench.shown import percent, seconds
from aegis_llm.bench.verdicts import Compared
from aegis_llm.simulate.words import per_s


class Table(NamedTuple):
    """A table; the first column names the row, the others are to the right."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


class Section(NamedTuple):
    """A title, what is said below it, and tables."""

    title: str
    said: list[str]
    tables: list[Table]
    picture: str = ""


def comparison_tables(found: Comparison) -> Iterator[Section]:
    """Return a comparison as tables: what changed first."""
    changed = [one for one in found.figures if one.verdict in ("worse", "better")]
    changed.sort(key=lambda one: one.verdict, reverse=True)
    rest = [one for one in found.figures if one.verdict not in ("worse", "better")]
    head = ("phase", "figure", "before", "after", "change", "99.9 %", "verdict")
    for title, rows in (("Changed", changed), ("Within noise, or too few to say", rest)):
        made = [(*_row(one), one.verdict) for one in rows]
        yield Section(title, [] if made else ["Nothing."], [Table(head, made)] if made else [])


def ways_section(found: Sequence[Compared]) -> Section:
    """Return what the package costs, where the same prompts went around it and through it."""
    whole = [one for one in found if one.phase == OVER_ALL]
    said = [
        f"{one.figure.capitalize()}, over all load phases: {_change(one)} through the package, "
        f"99.9 % interval {_interval(one)}."
        for one in whole
    ]
    if not whole:
        said.append("How sure these are is told with four rounds or more.")
    said.append("Each prompt was new, so this is what a miss costs beside the model's own time.")
    head = ("phase", "figure", "around", "through", "change", "99.9 %")
    rows = [_row(one) for one in found if one.phase != OVER_ALL and "p9" not in one.figure]
    return Section("Around the package and through it", said, [Table(head, rows)])


def _row(one: Compared) -> tuple[str, ...]:
    before, after = (_unit(value, one.unit) for value in (one.before, one.after))
    figure = f"{one.figure}, tokens" if one.unit == "tokens/s" else one.figure
    return one.phase, figure, before, after, _change(one), _interval(one)


def _change(one: Compared) -> str:
    return f"{one.ratio - 1:+.1%}"


def _interval(one: Compared) -> str:
    if one.low is None or one.high is None:
        return "-"
    return f"{one.low - 1:+.1%} to {one.high - 1:+.1%}"


def _unit(value: float, unit: str) -> str:
    if unit == "ratio":
        return "-"
    if unit == "s":
        return seconds(value)
    return percent(value) if unit == "share" else f"{per_s(value)}/s"
