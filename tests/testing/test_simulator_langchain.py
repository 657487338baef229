"""LangChain's own integration suite, with the stock ChatOllama on the simulator."""

import gc
from collections.abc import Iterator

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_tests.integration_tests import ChatModelIntegrationTests

from aegis_llm.testing import OllamaSimulator

pytestmark = [
    # The stock ChatOllama never closes its asynchronous client.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"),
]


class TestStockChatOllama(ChatModelIntegrationTests):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Iterator[None]:
        with OllamaSimulator(["llama3.1:8b", "llama3.2:3b"]) as sim:
            cls.url = sim.base_url
            yield
        gc.collect()

    url = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOllama

    @property
    def chat_model_params(self) -> dict[str, object]:
        return {"model": "llama3.1:8b", "base_url": self.url}

    @property
    def model_override_value(self) -> str:
        return "llama3.2:3b"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return False
