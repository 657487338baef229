"""The `aegis-llm` command, called as from a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_ollama import OllamaEmbeddings
from typer.testing import CliRunner, Result

from aegis_llm.cli import app
from aegis_llm.testing import OllamaSimulator
from tests.langchain.kit import Kit


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs one command; its environment names no server, its terminal is wide.

    By AEGIS_SIMILARITY the gates decide alone, whatever the weights of the score.
    """
    for name in ("AEGIS_REDIS_URL", "AEGIS_NAMESPACE", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AEGIS_SIMILARITY", "0.9")
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        result = runner.invoke(app, list(arguments), env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def kit(ollama: OllamaSimulator, redis_url: str, namespace: str) -> Iterator[Kit]:
    """Makes models whose embedder is LangChain's own."""
    embeddings: Any = OllamaEmbeddings(model="all-minilm", base_url=ollama.base_url)
    made = Kit(ollama, redis_url, namespace, embeddings)
    yield made
    made.close()
