"""`aegis-llm probe`: tables for people, a fact file for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aegis_llm.bootstrap.probing import read_facts
from aegis_llm.cli_bootstrap.probe import probe
from aegis_llm.testing import OllamaSimulator, SimulatedModel
from tests.bootstrap.machines import DGX_SPARK, planted

UNIT = "/etc/systemd/system/ollama.service"
SERVICE = {UNIT: "[Service]\nUser=ollama\nEnvironment=OLLAMA_NUM_PARALLEL=4 OLLAMA_NOTE=[b]\n"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `probe` as on a terminal of 80 columns."""
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    app = typer.Typer()
    app.command()(probe)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_a_person_sees_what_was_found_and_how_to_give_the_rest(
    told: Callable[..., Result], tmp_path: Path
) -> None:
    root = planted(tmp_path, DGX_SPARK, SERVICE)
    window = {"gemma3.attention.sliding_window": 1024, "gemma3.block_count": 34}
    models = {"gemma3:4b": SimulatedModel(family="gemma3", info=window)}
    with OllamaSimulator(models) as server:
        result = told("--root", str(root), "--url", server.base_url)
    assert result.exit_code == 0
    for part in (
        "20 cores (10 fast)",
        "121.69 GiB, 113.07 GiB available, shared with the GPU, 273 GB/s",
        "NVIDIA GB10",
        "systemd (ollama.service), run by ollama",
        UNIT,
        "OLLAMA_NUM_PARALLEL=4",
        "OLLAMA_NOTE=[b]",
        "gemma3:4b",
        "window 1024",
    ):
        assert part in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_json_is_a_fact_file_for_another_machine(
    told: Callable[..., Result], tmp_path: Path
) -> None:
    root = planted(tmp_path / "root", DGX_SPARK, SERVICE)
    result = told("--root", str(root), "--json")
    path = tmp_path / "facts.json"
    path.write_text(result.output)
    facts = read_facts(path)
    assert facts.ollama.environment == {"OLLAMA_NOTE": "[b]", "OLLAMA_NUM_PARALLEL": "4"}
    assert "ollama.version" in [one.what for one in facts.unknown]
    again = told("--host-facts", str(path))
    assert "NVIDIA GB10" in again.output
    with OllamaSimulator(["a", "b"], version="0.31.0") as server:
        result = told(
            "--host-facts", str(path), "--url", server.base_url, "--models", "b", "--json"
        )
    both = json.loads(result.output)
    assert both["ollama"]["version"] == "0.31.0"
    assert [one["name"] for one in both["models"]] == ["b:latest"]
    assert [one["what"] for one in both["unknown"]] == []


def test_what_is_not_usable_is_a_sentence_and_status_2(
    told: Callable[..., Result], tmp_path: Path
) -> None:
    path = tmp_path / "facts.json"
    path.write_text('{"memory": {"total": -1}}')
    result = told("--host-facts", str(path))
    assert result.exit_code == 2
    assert "memory.total" in result.output
    assert told("--url", "http://[::1").exit_code == 2


def test_nothing_at_all_is_shown_as_unknown(told: Callable[..., Result], tmp_path: Path) -> None:
    result = told("--root", str(tmp_path))
    assert result.exit_code == 0
    assert "cores unknown" in result.output
    assert "- memory.total:" in result.output
