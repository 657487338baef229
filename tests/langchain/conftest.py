"""Fixtures of the LangChain tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.globals import set_llm_cache
from langchain_ollama import OllamaEmbeddings

from aegis_llm import wiring
from aegis_llm.testing import OllamaSimulator, answers
from tests.langchain.kit import Kit, Remembered
from tests.langchain.learning_kit import Matcher, Model

MODELS = ("llama3.1:8b", "mistral:7b", "qwen3:8b", "llava:7b", "all-minilm")


@pytest.fixture(scope="session")
def _simulator() -> Iterator[OllamaSimulator]:
    """A simulator with models that see and models that think."""
    with OllamaSimulator(MODELS) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def embeddings(_simulator: OllamaSimulator) -> Iterator[Any]:
    """The real all-MiniLM-L6-v2, served by the simulated Ollama, once for each text."""
    made = OllamaEmbeddings(model="all-minilm", base_url=_simulator.base_url)
    yield Remembered(made)
    assert made._client is not None
    made._client._client.close()


@pytest.fixture
def kit(ollama: OllamaSimulator, redis_url: str, namespace: str, embeddings: Any) -> Iterator[Kit]:
    """Makes models on the simulator and the session's Redis."""
    made = Kit(ollama, redis_url, namespace, embeddings)
    yield made
    made.close()


@pytest_asyncio.fixture
async def akit(kit: Kit) -> AsyncIterator[Kit]:
    """Like `kit`, for tests that await stock models too."""
    yield kit
    await kit.aclose()


@pytest.fixture(autouse=True)
def _no_global_cache() -> Iterator[None]:
    """Leave no global cache to the next test."""
    yield
    set_llm_cache(None)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """A model that says what a test wants, and a matcher that is sure of everything."""
    made = Model()
    monkeypatch.setattr(answers, "answer", made)
    monkeypatch.setattr(wiring, "Matcher", Matcher)
    yield made
    Matcher.grey = False


@pytest.fixture
def grey(model: Model) -> Model:
    """Like `model`, with a matcher that is sure of nothing."""
    Matcher.grey = True
    return model
