"""The commands around `aegis_llm.bootstrap`: read arguments, call, and show."""

from __future__ import annotations

from collections.abc import Callable

import typer

from aegis_llm.cli_bootstrap.doctor import doctor
from aegis_llm.cli_bootstrap.lint import lint_command
from aegis_llm.cli_bootstrap.probe import probe
from aegis_llm.cli_bootstrap.quant import quant
from aegis_llm.cli_bootstrap.tune import tune
from aegis_llm.cli_bootstrap.verify import verify_command
from aegis_llm.cli_bootstrap.warm import warm


def add_to(app: typer.Typer) -> None:
    """Add the commands, in the order in which a person needs them."""
    commands: dict[str, Callable[..., None]] = {
        "doctor": doctor,
        "probe": probe,
        "tune": tune,
        "verify": verify_command,
        "lint": lint_command,
        "quant": quant,
        "warm": warm,
    }
    for name, command in commands.items():
        app.command(name, rich_help_panel="Ollama server")(command)
