"""`aegis-llm quant`: a table a person can act on, data, and a sentence for bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from aegis_llm.bootstrap.advising import profile
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.cli_bootstrap import quant_table
from aegis_llm.cli_bootstrap.quant import quant
from aegis_llm.testing import OllamaSimulator

Quant = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Quant:
    """Runs the command in a terminal of 80 columns without colour."""
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    monkeypatch.setattr(quant_table, "console", Console(width=80))
    app = typer.Typer()
    app.command()(quant)

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return call


def spoken(result: Result) -> str:
    return " ".join(result.output.split())


def test_a_table_that_fits_80_columns_and_says_what_to_do(run: Quant) -> None:
    result = run("llama3.1:8b", "--profile", "dgx-spark")
    assert result.exit_code == 0, result.output
    assert max(len(line) for line in result.output.splitlines()) <= 80
    rows = [line.split() for line in result.output.splitlines() if "Q4_K_M " in line]
    assert ["*", "Q4_K_M", "4.90", "4.58", "7.08", "6.26", "f16", "56", "/", "47", "+2.8%",
            "0.0313"] in rows  # fmt: skip
    for words in ("4.90 bits a weight; usual for Q4_K_M", "Keep Q4_K_M",
                  "more bits are taken where", "Decide otherwise when", "UD-Q4_K_XL", "Assumed",
                  "tools/perplexity/README.md: Llama-3-8B"):  # fmt: skip
        assert words in spoken(result)
    assert "quality" not in result.output


def test_settings_that_belong_to_it_are_named(run: Quant) -> None:
    said = spoken(run("llama3.1:8b", "--profile", "rtx-4060-8gb", "--concurrent", "8"))
    assert "Keep Q4_K_M, with OLLAMA_KV_CACHE_TYPE=q8_0, with OLLAMA_NUM_PARALLEL=4" in said
    assert "4 of 8" in said


def test_data_with_a_stable_schema(run: Quant) -> None:
    result = run("llama3.1:8b", "--profile", "rtx-4090", "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.output)
    assert list(told) == [
        "v", "model", "installed", "slots", "context", "usable", "room", "bandwidth", "active",
        "offers", "recommended", "embeds", "otherwise", "notes", "assumed", "unknown", "source",
    ]  # fmt: skip
    assert (told["v"], told["recommended"]["label"]) == (1, "Q8_0")
    assert list(told["offers"][0]) == [
        "label", "bits", "size", "installed", "loss", "needs_f16", "needs_q8_0", "fits", "slots",
        "active", "ceiling", "likely", "no_ceiling",
    ]  # fmt: skip


def test_options_reach_the_rule(run: Quant) -> None:
    told = json.loads(run("llama3.1:8b", "--profile", "dgx-spark", "--json",
                          "--least-tokens-per-second", "30").output)  # fmt: skip
    assert told["recommended"]["label"] == "Q6_K"
    told = json.loads(run("llama3.1:8b", "--profile", "rtx-4090", "--json", "--for", "memory",
                          "--beside", "nomic-embed-text, ", "--prompt-tokens", "7000",
                          "--output-tokens", "1192", "--concurrent", "2").output)  # fmt: skip
    assert (told["recommended"]["label"], told["slots"], told["context"]) == ("Q4_K_M", 2, 8192)
    assert "of the other models" in told["room"]


def test_a_fact_file_describes_machine_and_model(run: Quant, tmp_path: Path) -> None:
    model = ModelFacts(
        name="own:7b", size=4_000_000_000, parameters=7_000_000_000, quantization="unknown",
        architecture="llama", layers=32, heads=32, kv_heads=(8,), key_length=128,
        value_length=128, embedding_length=4096, trained_context=32_768,
    )  # fmt: skip
    facts = msgspec.structs.replace(profile("rtx-4090"), models=(model,))
    path = tmp_path / "facts.json"
    path.write_bytes(msgspec.json.encode(facts))
    result = run("own:7b", "--host-facts", str(path))
    assert result.exit_code == 0, result.output
    assert "4.57 bits a weight; nothing is published for 'unknown'" in spoken(result)


def test_a_server_tells_its_models(run: Quant, ollama: OllamaSimulator) -> None:
    result = run("llama3.1:8b", "--url", ollama.base_url)
    assert result.exit_code in (0, 3), result.output
    assert "llama3.1:8b" in result.output


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("llama3.1:70b", "--profile", "rtx-4060-8gb"), 3, "Nothing to recommend"),
        (("llama3.1:8b", "--profile", "dgx-spark", "--least-tokens-per-second", "99"), 3,
         "99 tokens/s need a smaller model"),
        (("nobody:1b", "--profile", "dgx-spark"), 2, "nothing is known of the model nobody:1b"),
        (("[red]", "--profile", "dgx-spark"), 2, "nothing is known of the model [red]"),
        (("llama3.1:8b", "--profile", "cray"), 2, "no profile 'cray' is known"),
        (("llama3.1:8b", "--profile", "dgx-spark", "--concurrent", "0"), 2, "concurrent"),
        (("llama3.1:8b", "--profile", "dgx-spark", "--least-tokens-per-second", "0"), 2,
         "above 0"),
        (("", "--profile", "dgx-spark"), 2, "The name of the model is empty"),
        (("llama3.1:8b", "--host-facts", "/nowhere/facts.json"), 2, "/nowhere/facts.json"),
        (("llama3.1:8b", "--profile", "dgx-spark", "--host-facts", "x"), 2, "not both"),
    ],
)  # fmt: skip
def test_a_sentence_and_a_status_for_what_cannot_be(
    run: Quant, arguments: tuple[str, ...], status: int, said: str
) -> None:
    result = run(*arguments)
    assert said in spoken(result)
    assert result.exit_code == status
