"""The `aegis-llm` command: reads its arguments, calls, and shows."""

from __future__ import annotations

import logging
import sys

import typer
from rich import box
from rich.console import Console
from rich.table import Table

import aegis_llm
from aegis_llm import cli_bench, cli_bootstrap, cli_cache
from aegis_llm.cli_calibrate import calibrate
from aegis_llm.cli_explain import explain
from aegis_llm.cli_learning import labels, reject
from aegis_llm.cli_parts import flow_help, refuse, tell_wrong
from aegis_llm.cli_simulate import simulate
from aegis_llm.demo import ASKS, Row, Stage, demos, loaded, wrong
from aegis_llm.errors import AegisError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Exact and semantic Redis caching for LangChain and LlamaIndex chains on Ollama.",
)
console = Console()
app.command()(reject)
app.command()(labels)
cli_cache.add_to(app)
app.command()(explain)
app.command()(calibrate)
app.command()(simulate)
cli_bootstrap.add_to(app)
cli_bench.add_to(app)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Show the version and stop."),
) -> None:
    if version:
        console.print(f"aegis-llm {aegis_llm.__version__}")
        raise typer.Exit


@app.command()
def demo(
    only: str = typer.Option("", help="Run one demo alone, for example langchain."),
) -> None:
    """Ask a real RAG chain five questions and show where each answer came from."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    points = demos()
    if only and only not in {point.name for point in points}:
        names = ", ".join(point.name for point in points)
        refuse(f"There is no demo {only!r}; there are: {names}")
    found, missing = loaded([point for point in points if not only or point.name == only])
    if not found:
        refuse(
            "; ".join(missing)
            or "No demo is installed: it needs the extra langchain or llama-index"
        )
    failed = False
    changes = []
    with Stage() as stage:
        for note in stage.notes:
            console.print(note, style="bold", markup=False)
        console.print()
        for ask in ASKS:
            console.print(f"  {ask.label:16} {ask.question}", highlight=False)
        console.print()
        for name, show in found.items():
            module = sys.modules[show.__module__]
            rows = list(show(stage))
            console.print(_table(module.TITLE, rows))
            changes.append((name, *module.CHANGE))
            failed = failed or bool(wrong(rows, rewordings=stage.knows_rewordings))
    for said in missing:
        console.print(f"Left out: {said}", markup=False, highlight=False)
    console.print("\nIn your own chain change one line:")
    for name, before, after in changes:
        console.print(f"  {name}", highlight=False)
        console.print(f"    [red]- {before}[/red]\n    [green]+ {after}[/green]", highlight=False)
    if failed:
        console.print("An outcome above is not as it should be; please report it.", style="red")
        raise typer.Exit(1)


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE)
    table.add_column("ask", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("first token", justify="right", no_wrap=True)
    table.add_column("total", justify="right", no_wrap=True)
    table.add_column("why")
    for row in rows:
        colour = "green" if row.origin.hit else "yellow"
        table.add_row(
            row.ask.label,
            f"[{colour}]{row.origin.outcome}[/{colour}]",
            _ms(row.first_s),
            _ms(row.total_s),
            _why(row),
        )
    return table


def _why(row: Row) -> str:
    origin = row.origin
    if origin.similarity is not None:
        return f"similarity {origin.similarity:.2f}"
    if origin.hit:
        return f"look-up {origin.lookup_ms:.1f} ms"
    return origin.reason


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms"


flow_help(app)


def main() -> None:
    """Run the command; an error of the package is one line, not a traceback."""
    try:
        app()
    except AegisError as exc:
        tell_wrong(str(exc))
        sys.exit(1)
