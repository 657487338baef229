"""`aegis-llm bench`: measures a server, and compares two measurements."""

from __future__ import annotations

import typer

from aegis_llm.cli_bench.compare import compare_command
from aegis_llm.cli_bench.run import bench


def add_to(app: typer.Typer) -> None:
    """Add `bench` and, below it, `compare`."""
    group = typer.Typer(invoke_without_command=True, help=bench.__doc__)
    group.callback()(bench)
    group.command("compare")(compare_command)
    app.add_typer(group, name="bench", rich_help_panel="Ollama server")
