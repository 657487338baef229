"""A report in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from aegis_llm.bench.changes import Section, Table
from aegis_llm.bench.results import Results
from aegis_llm.bench.telling import how_to_read, sections


def markdown(found: Results) -> str:
    """Return the whole report."""
    lines = [f"# aegis-llm bench: {_plain(found.model.name)}", ""]
    lines += _all(sections(found))
    lines += ["## How to read this", ""]
    lines += [f"- {said}" for said in how_to_read()]
    return "\n".join(lines) + "\n"


def _all(parts: Iterable[Section]) -> list[str]:
    lines = []
    for part in parts:
        lines += [f"## {part.title}", ""]
        for said in part.said:
            lines += [_plain(said), ""]
        for table in part.tables:
            lines += [*_table(table), ""]
    return lines


def _table(table: Table) -> list[str]:
    rule = ["---", *["---:" for _ in table.head[1:]]]
    if len(table.head) == 2 or table.head[-1].startswith("why"):
        rule = ["---"] * len(table.head)
    return [_line(table.head), _line(rule), *map(_line, table.rows)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    """Return a text on one line that is no HTML: names and errors come from a server."""
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
