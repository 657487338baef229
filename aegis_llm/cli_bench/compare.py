"""`aegis-llm bench compare`: better, worse or within noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.table import Table

from aegis_llm.bench.changes import comparison_tables
from aegis_llm.bench.comparing import Comparison, compare
from aegis_llm.bench.results import Results, decode
from aegis_llm.bench.verdicts import THRESHOLD
from aegis_llm.cli_parts import console, refuse
from aegis_llm.errors import ConfigError

_COLOURS = {"worse": "red", "better": "green"}


def compare_command(
    before: Annotated[Path, typer.Argument(help="The JSON file of the first bench.")],
    after: Annotated[Path, typer.Argument(help="The JSON file of the second one.")],
    threshold: Annotated[
        float, typer.Option(help="Share by which a figure may differ and still be the same.")
    ] = THRESHOLD,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say for each figure whether it is better, worse or within noise.

    A figure is better or worse when its whole 99.9 % interval lies beyond the threshold; see
    docs/bench.md.

    Exit status: 0 when nothing is worse, 1 when something is, 2 when a file is not usable or the
    two have nothing in common.
    """
    if not 0 <= threshold < 10:
        refuse(f"--threshold {threshold:g} is not usable; give a share, 0.05.")
    found = compare(_read(before), _read(after), (str(before), str(after)), threshold)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        show(found)
    if not found.figures:
        refuse("The two files have no measured phase in common.")
    if found.regressed:
        raise typer.Exit(1)


def show(found: Comparison) -> None:
    """Print a comparison: what else differs first, since it may be the reason."""
    for said in found.differences:
        _line(f"! {said}", style="yellow")
    if found.missing:
        _line(f"! only in one of the files: {', '.join(found.missing)}", style="yellow")
    for part in comparison_tables(found):
        _line(part.title, style="bold")
        for said in part.said:
            _line(said)
        for made in part.tables:
            table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
            for n, name in enumerate(made.head):
                table.add_column(name, justify="left" if n in (0, 1, 6) else "right")
            for row in made.rows:
                table.add_row(*row, style=_COLOURS.get(row[-1]))
            console.print(table)
    worse = sum(one.verdict == "worse" for one in found.figures)
    better = sum(one.verdict == "better" for one in found.figures)
    _line(f"{worse} worse, {better} better, of {len(found.figures)} figures.", style="bold")


def _read(path: Path) -> Results:
    try:
        return decode(path.read_bytes(), str(path))
    except OSError as exc:
        refuse(f"{path} cannot be read: {exc.strerror}.")
    except ConfigError as exc:
        refuse(f"{exc}.")


def _line(text: str, style: str | None = None) -> None:
    console.print(text, style=style, markup=False, highlight=False)
