"""Advice on a terminal of 80 columns."""

from __future__ import annotations

import pytest
from rich.console import Console

from aegis_llm.bootstrap.advice import Advice, Workload
from aegis_llm.bootstrap.advising import advise, profile, study_2025
from aegis_llm.cli_bootstrap import advice_table
from tests.bootstrap.advising import card, model


def shown(
    monkeypatch: pytest.MonkeyPatch, advice: Advice, name: str = "rtx-4090", width: int = 80
) -> str:
    console = Console(width=width, force_terminal=False, record=True, file=None, quiet=False)
    monkeypatch.setattr(advice_table, "console", console)
    advice_table.show_advice(advice, profile(name))
    return console.export_text()


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> str:
    workload = Workload(models=("llama3.1:8b", "nomic-embed-text"))
    return shown(monkeypatch, advise(profile("dgx-spark"), workload), "dgx-spark")


def test_all_of_it_fits_into_80_columns_and_nothing_is_cut(text: str) -> None:
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text


@pytest.mark.parametrize(
    "part",
    [
        "For profile dgx-spark, Ollama 0.33",
        "OLLAMA_NUM_PARALLEL",
        "LLAMA_ARG_CACHE_RAM",
        "4 slots x 7,168 tokens x 128 KiB",
        "GPU memory: 121.70 GiB in all",
        "KV cache f16 of llama3.1:8b",
        "left free",
        "What the study of 2025 has, and why it differs",
        "Not known",
    ],
)
def test_what_a_person_needs_is_there(text: str, part: str) -> None:
    assert part in text


def test_a_narrow_terminal_loses_no_word(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    workload = Workload(models=("llama3.1:8b", "nomic-embed-text"))
    narrow = shown(monkeypatch, advise(profile("dgx-spark"), workload), "dgx-spark", width=40)
    assert max(len(line) for line in narrow.splitlines()) <= 40
    assert "…" not in narrow
    flat = " ".join(narrow.split())
    for words in ("OLLAMA_NUM_PARALLEL value: 4", "4 slots x 7,168 tokens x 128 KiB = 3.50 GiB"):
        assert words in flat
    assert flat.count("nomic-embed-text") >= text.count("nomic-embed-text")


def test_figures_have_units_and_settings_to_leave_alone_say_so(text: str) -> None:
    flash = next(line for line in text.splitlines() if "OLLAMA_FLASH_ATTENTION" in line)
    assert "unset" in flash


def test_what_does_not_fit_is_said_before_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, advise(profile("rtx-4090"), Workload(models=("llama3.1:70b",))))
    flat = " ".join(text.split())
    assert flat.index("It does not fit.") < flat.index("! llama3.1:70b") < flat.index("Settings")


def test_the_preset_is_shown_without_a_table_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, study_2025(card(), Workload(models=("llama3.1:8b",))))
    assert "! OLLAMA_FLASH_ATTENTION=0" in text
    assert "What the study" not in text


def test_names_with_brackets_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = model(name="llama3.1:8b")
    facts = card(models=(odd,), source="[red]file[/red]")
    text = shown(monkeypatch, advise(facts, Workload(models=("[bold]x:1b",))))
    assert "[bold]x:1b" in text


def test_options_of_a_modelfile_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, advise(card(version="0.5.12"), Workload(models=("llama3.1:8b",))))
    assert "In the Modelfile of llama3.1:8b: PARAMETER num_ctx 7168" in text
