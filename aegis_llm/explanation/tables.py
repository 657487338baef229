"""Explanations as Rich shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aegis_llm.explanation.words import ago, shown

if TYPE_CHECKING:
    from aegis_llm.explanation import Explanation, Weighed


def explained(told: Explanation, colour: str, facts: list[tuple[str, str]]) -> RenderableType:
    """Return the outcome in its colour, the facts below it, and the questions compared."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in facts:
        grid.add_row(label, Text(value))
    parts: list[RenderableType] = [
        Text(f"{told.outcome}  {told.sentence}", f"bold {colour}"),
        grid,
    ]
    if told.candidates:
        parts.append(weighed("Stored questions of this scope", told.candidates))
    if told.elsewhere:
        parts.append(weighed("Stored questions of other scopes", told.elsewhere))
    return Group(*parts)


def weighed(title: str, rows: Sequence[Weighed]) -> Table:
    """Return a table of stored questions with the decision about each."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE)
    table.add_column("stored question", overflow="fold", ratio=3)
    for name in ("similarity", "score", "needed", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("decision", overflow="fold", ratio=2)
    for one in rows:
        colour = "green" if one.served else "yellow" if one.accept else "red"
        table.add_row(
            Text(shown(one.question or "(no text kept)")),
            f"{one.similarity:.3f}",
            "" if one.score is None else f"{one.score:.3f}",
            "" if one.threshold is None else f"{one.threshold:.3f}",
            ago(one.age_s),
            Text(one.verdict, colour),
        )
    return table
