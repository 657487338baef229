"""A bench as a command on a narrow terminal, and a server that is fast."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aegis_llm import cli_bench
from aegis_llm.testing import OllamaSimulator, Timing

Command = Callable[..., Result]
SMALL = (
    "--levels", "1,2", "--stress", "3", "--rounds", "2", "--each", "1", "--prompt-tokens", "40",
    "--output-tokens", "8", "--pause", "0", "--cache", "10",
)  # fmt: skip
MODELS = ("llama3.1:8b", "all-minilm")


def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Return what runs one command in an empty folder, on a plain terminal of 80 columns."""
    for name in [*os.environ]:
        if name.startswith(("AEGIS_", "OLLAMA_", "LLAMA_ARG_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    cli_bench.add_to(app)
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        environment = {"COLUMNS": "80", "NO_COLOR": "1"}
        result = runner.invoke(app, ["bench", *arguments], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        wide = [line for line in result.stdout.splitlines() if len(line) > 80]
        assert "--json" in arguments or not wide
        return result

    return run


def fast_server() -> OllamaSimulator:
    """Return a server with two slots that answers in no time."""
    timing = Timing(prefill=50_000.0, decode=2000.0)
    return OllamaSimulator(MODELS, num_parallel=2, timing=timing)
