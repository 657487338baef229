"""The stage of demos and notebooks: which Ollama and which of its models they run against."""

from __future__ import annotations

import pytest

from aegis_llm.demo import Stage
from aegis_llm.testing import OllamaSimulator


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
