"""LangChain's standard suites for embeddings, with a real Redis, first computed and then kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from aegis_llm.testing import OllamaSimulator
from langchain_aegis import AegisEmbeddings
from tests.langchain.embeddings_kit import PATH, Makes, warm_up
from tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def kept() -> Iterator[RedisServer]:
    """A Redis that keeps its vectors from one test, and one class, to the next."""
    with RedisServer(modules=False) as server:
        yield server


class _OnAegis:
    """What both suites are told."""

    _makes: ClassVar[Makes]
    requests = 0

    @pytest.fixture(autouse=True)
    def _server(self, ollama: OllamaSimulator, kept: RedisServer) -> Iterator[None]:
        made = type(self)._makes = Makes(ollama, kept.url, "suite")
        yield
        type(self).requests += ollama.count(PATH)
        made.close()

    @pytest.fixture
    def model(self) -> Any:
        """As the suite's own, with a digest that is known."""
        made = AegisEmbeddings(**self.embedding_model_params)
        self._makes.made.append(made)
        warm_up(made)
        return made

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return AegisEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        given = self._makes(warm=False, local_max_bytes=0)
        names = ("model", "base_url", "client_kwargs", "aegis", "redis_url", "namespace")
        return {name: getattr(given, name) for name in names}


class TestUnit(_OnAegis, EmbeddingsUnitTests):
    """Construction."""


class TestComputed(_OnAegis, EmbeddingsIntegrationTests):
    """Vectors that Ollama computes, and soon those that are kept."""


class TestKept(_OnAegis, EmbeddingsIntegrationTests):
    """The same texts again."""


def test_the_first_run_asked_ollama_and_the_second_did_not() -> None:
    assert TestComputed.requests > 0
    assert TestKept.requests == 0
