"""Fixtures of the LlamaIndex tests."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from llama_index.core import Settings

from aegis_llm.testing import OllamaSimulator
from llama_index.llms.aegis._window import windows
from tests.llama_index.kit import Kit

MODELS = ("llama3.1:8b", "mistral:7b", "qwen3:8b", "llava:7b", "all-minilm")


@pytest.fixture(scope="session")
def _simulator() -> Iterator[OllamaSimulator]:
    """A simulator with models that see and models that think."""
    with OllamaSimulator(MODELS) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each HTTP client the loading of certificates, which nothing on loopback needs."""
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)


@pytest.fixture
def kit(ollama: OllamaSimulator, redis_url: str, namespace: str) -> Iterator[Kit]:
    """Makes models on the simulator and the session's Redis."""
    made = Kit(ollama, redis_url, namespace)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    """Leave no global settings and no known windows to the next test."""
    yield
    windows.forget()
    Settings._llm = Settings._embed_model = Settings._callback_manager = None
    Settings._prompt_helper = Settings._chat_prompt_helper = None
