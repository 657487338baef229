"""AegisEmbeddings for a test, on the simulator and the session's Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aegis_llm import AegisConfig, wiring
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import AegisEmbeddings
from tests.langchain.kit import NO_TLS, PATIENT

MODEL = "all-minilm"
PATH = "/api/embed"
LONG = "tree " * 300


class Makes:
    """Makes models, each with a digest that is known, and closes what they opened."""

    def __init__(self, ollama: OllamaSimulator, redis_url: str, namespace: str) -> None:
        self.ollama = ollama
        self.given = {"redis_url": redis_url, "namespace": namespace}
        self.made: list[AegisEmbeddings] = []

    def __call__(self, *, warm: bool = True, **given: Any) -> AegisEmbeddings:
        options = {name: given.pop(name) for name in OPTIONS if name in given}
        settings: dict[str, Any] = {
            "model": MODEL,
            "base_url": self.ollama.base_url,
            "client_kwargs": NO_TLS,
            "aegis": AegisConfig().with_options(**(PATIENT | options)),
            **self.given,
        }
        made = AegisEmbeddings(**(settings | given))
        self.made.append(made)
        if warm:
            warm_up(made)
        return made

    def new_process(self) -> None:
        """Be as a new process: only Redis is kept."""
        self.close()
        wiring.forget_all()

    @property
    def sent(self) -> list[list[str]]:
        """The texts of each request so far."""
        return [list(call.body["input"]) for call in self.ollama.calls if call.path == PATH]

    def close(self) -> None:
        """Close the connections to Redis."""
        for made in self.made:
            made._vectors.kept.store.close()


OPTIONS = ("local_max_bytes", "store_prompts", "window_ms", "window", "max_batch", "schedule",
           "redis_timeout_ms", "redis_connect_timeout_ms", "ttl_jitter")  # fmt: skip


def warm_up(made: Any) -> None:
    """Wait until the digest is known, so that a busy machine changes nothing."""
    source = made._vectors.source
    made._vectors.kept.digests.ask(source.models.server, source.model, 10.0)


@pytest.fixture
def make(ollama: OllamaSimulator, redis_url: str, namespace: str) -> Iterator[Makes]:
    """Makes models."""
    makes = Makes(ollama, redis_url, namespace)
    yield makes
    makes.close()
