"""Tables: for the terminal and, between two marks, in a Markdown document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

Row = Sequence[object]


@dataclass
class Table:
    """One table with a title above and a note below."""

    title: str
    head: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [_line(self.head), _line(["---"] * len(self.head))]
        lines += [_line(row) for row in self.rows]
        note = f"\n{self.note}\n" if self.note else ""
        return f"### {self.title}\n\n" + "\n".join(lines) + "\n" + note


def write(path: Path, mark: str, text: str) -> None:
    """Put `text` between `<!-- mark -->` and `<!-- end mark -->` of a document.

    Raises:
        ValueError: The document has no such marks.
    """
    start, end = f"<!-- {mark} -->", f"<!-- end {mark} -->"
    before, found, rest = path.read_text().partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        msg = f"{path} holds no {start} ... {end}"
        raise ValueError(msg)
    path.write_text(f"{before}{start}\n\n{text.strip()}\n\n{end}{after}")


def _line(cells: Row) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
