"""The stage of demos and notebooks: which Ollama and which of its models they run against."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from aegis_llm import cli
from aegis_llm.demo import ASKS, Row, Stage, loaded, wrong
from aegis_llm.errors import ConfigError, MissingExtraError
from aegis_llm.testing import MiniLM, OllamaSimulator
from aegis_llm.values import Origin


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [("", "llama3.1:8b"), ("mistral", "mistral:latest"), ("no-such-model", "llama3.1:8b")],
)
def test_a_model_of_a_real_ollama_can_be_named(
    wanted: str, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AEGIS_REDIS_URL", "memory://")
    with OllamaSimulator(["mistral", "llama3.1:8b", "all-minilm"]) as sim:
        monkeypatch.setenv("OLLAMA_HOST", sim.base_url)
        with Stage(model=wanted) as stage:
            assert stage.model == taken
            assert not stage.simulated
            assert stage.embedding_url.rstrip("/") == sim.base_url


def test_a_simulated_ollama_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_REDIS_URL", "memory://")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    with Stage(timing="fast") as stage:
        assert stage.simulated
        assert stage.notes[0].startswith("no Ollama answers at OLLAMA_HOST=http://127.0.0.1:1:")
        assert len(stage.embed(["Is it quick?"])[0]) == 384


def test_vectors_that_are_made_up_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AEGIS_REDIS_URL", "memory://")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setattr(MiniLM, "available", lambda: False)
    with Stage(timing="fast") as stage:
        assert stage.notes[1].startswith("no weights of all-MiniLM-L6-v2: ")
        assert not stage.knows_rewordings


@pytest.mark.parametrize(
    ("label", "rewordings", "found"),
    [("reworded ask", True, 1), ("reworded ask", False, 0), ("same ask", False, 1)],
)
def test_a_rewording_may_miss_only_where_the_vectors_tell_too_little(
    label: str, rewordings: bool, found: int
) -> None:
    (ask,) = [one for one in ASKS if one.label == label]
    missed = [Row(ask, "", Origin("miss", "no_candidate"), 0.0, 0.0)]
    assert len(wrong(missed, rewordings=rewordings)) == found


class Point(NamedTuple):
    """Stands for an entry point."""

    name: str
    load: Any


def _absent() -> None:
    raise MissingExtraError("langchain_aegis", "langchain")


def _shown(_: Stage) -> Iterator[Row]:
    yield from ()


def test_a_demo_whose_framework_is_absent_is_left_out_and_named() -> None:
    points: Any = [Point("langchain", _absent), Point("llama-index", lambda: _shown)]
    found, missing = loaded(points)
    assert found == {"llama-index": _shown}
    (said,) = missing
    assert said == str(MissingExtraError("langchain_aegis", "langchain"))


@pytest.mark.parametrize(("points", "status"), [((), 2), ((Point("langchain", _absent),), 2)])
def test_without_any_framework_the_demo_says_what_to_install(
    points: tuple[Point, ...],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "demos", lambda: list(points))
    monkeypatch.setattr(sys, "argv", ["aegis-llm", "demo"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == status
    told = capsys.readouterr().err
    assert "langchain" in told
    assert ("pip install" in told) is bool(points)


def test_an_error_keeps_the_brackets_of_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> None:
        msg = "give 'aegis[cache]'"
        raise ConfigError(msg)

    monkeypatch.setattr(cli, "app", refused)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == "give 'aegis[cache]'\n"
