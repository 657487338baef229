"""LangChain's standard suites for chat models, with a real Redis, real embeddings, a cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from aegis_llm.testing import OllamaSimulator
from langchain_aegis import ChatAegis
from tests.langchain.kit import MODEL, NO_TLS, Kit
from tests.redis_server import RedisServer

pytestmark = pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")


@pytest.fixture(scope="module")
def kept() -> Iterator[RedisServer]:
    """A Redis that keeps its entries from one test, and one class, to the next."""
    with RedisServer() as server:
        yield server


class _OnAegis:
    """What both suites are told."""

    _kit: ClassVar[Kit]
    calls = 0

    @pytest.fixture(autouse=True)
    def _server(
        self, ollama: OllamaSimulator, kept: RedisServer, embeddings: Any
    ) -> Iterator[Kit]:
        made = type(self)._kit = Kit(ollama, kept.url, "suite", embeddings)
        yield made
        type(self).calls += made.calls
        made.close()

    @pytest.fixture
    def model(self, request: Any) -> Any:
        """As the suite's own, and closed after the test."""
        given = {
            **self.standard_chat_model_params,  # type: ignore[attr-defined]
            **(getattr(request, "param", None) or {}),
        }
        return self._kit.aegis(**given)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatAegis

    @property
    def chat_model_params(self) -> dict[str, Any]:
        kit = self._kit
        return {
            "model": MODEL,
            "base_url": kit.ollama.base_url,
            "client_kwargs": NO_TLS,
            "redis_url": kit.redis_url,
            "namespace": kit.namespace,
            "embeddings": kit.embeddings,
        }

    @property
    def has_tool_choice(self) -> bool:
        return False  # Ollama has none: ChatOllama ignores it

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "mistral:7b"


class TestUnit(_OnAegis, ChatModelUnitTests):
    """`test_init_from_env` is skipped: like ChatOllama, the model reads no environment."""


class TestIntegration(_OnAegis, ChatModelIntegrationTests):
    """`test_image_inputs` is left out, because it fetches its image from the Internet."""

    calls = 0


class TestIntegrationOnHits(_OnAegis, ChatModelIntegrationTests):
    """The same tests on the entries that `TestIntegration` left: nearly every call is a hit."""

    calls = 0


def test_the_second_run_asked_the_model_for_next_to_nothing() -> None:
    if not TestIntegration.calls:
        pytest.skip("needs the whole module to run")
    assert TestIntegrationOnHits.calls <= TestIntegration.calls / 4
