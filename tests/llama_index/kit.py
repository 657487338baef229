"""Models for a test: AegisOllama and the stock Ollama, on one simulator and one Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.llms import ChatMessage
from llama_index.llms.ollama import Ollama

from aegis_llm import AegisConfig, wiring
from aegis_llm.testing import MiniLM, OllamaSimulator
from llama_index.llms.aegis import AegisOllama

MODEL = "llama3.1:8b"
PATIENT = {
    "redis_timeout_ms": 5000,
    "redis_connect_timeout_ms": 5000,
    "embed_timeout_ms": 30000,
}
"""Time limits that a busy test machine does not reach."""
NESTED = ("local_max_bytes", "local_max_age_s", "single_flight", "embedding_id", "store_prompts",
          "judge", "judge_model", "shadow", "check_hits", "normalise_options", "schedule",
          "num_parallel", "retries", "max_queue", "queue_timeout_s")  # fmt: skip
FACTS = (
    "Returns are accepted within 30 days of delivery.",
    "Standard shipping takes 5 days inside the country.",
    "Gift cards never expire and cannot be refunded.",
    "The warranty on kettles lasts 24 months.",
)
_minilm = MiniLM()


class MiniLMEmbedding(BaseEmbedding):
    """The real all-MiniLM-L6-v2, as LlamaIndex takes embedding models."""

    model_name: str = "all-minilm"
    asked: int = 0

    def _get_text_embedding(self, text: str) -> list[float]:
        found: list[float] = _minilm.embed([text])[0].tolist()
        return found

    def _get_query_embedding(self, query: str) -> list[float]:
        self.asked += 1
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)


class Kit:
    """Makes models and closes what they opened."""

    def __init__(self, ollama: OllamaSimulator, redis_url: str, namespace: str) -> None:
        self.ollama = ollama
        self.redis_url = redis_url
        self.namespace = namespace
        self.embed_model = MiniLMEmbedding()
        self._open: list[Ollama] = []
        self.stores: list[Any] = []

    @property
    def calls(self) -> int:
        """How often the model was asked so far."""
        return self.ollama.count("/api/chat")

    @property
    def shows(self) -> int:
        """How often `/api/show` was asked so far."""
        return self.ollama.count("/api/show")

    @property
    def body(self) -> dict[str, Any]:
        """The body of the latest model call."""
        return [dict(call.body) for call in self.ollama.calls if call.path == "/api/chat"][-1]

    def aegis(self, *, warm: bool = True, **given: Any) -> AegisOllama:
        """Return an AegisOllama that knows its model's digest, unless `warm` is off."""
        nested = {name: given.pop(name) for name in NESTED if name in given}
        settings = {
            "model": MODEL,
            "base_url": self.ollama.base_url,
            "redis_url": self.redis_url,
            "namespace": self.namespace,
            "embed_model": self.embed_model,
            "aegis": AegisConfig().with_options(**(PATIENT | nested)),
        } | given
        model = AegisOllama(**settings)
        self._open.append(model)
        if warm:
            warm_up(model)
        return model

    def stock(self, **given: Any) -> Ollama:
        """Return the stock model with the same settings."""
        model = Ollama(**{"model": MODEL, "base_url": self.ollama.base_url} | given)
        self._open.append(model)
        return model

    @asynccontextmanager
    async def awaited_stock(self, **given: Any) -> AsyncIterator[Ollama]:
        """Lend a stock model and close its awaited connections, which it leaves open."""
        model = self.stock(**given)
        yield model
        if model._async_client is not None:
            await model._async_client.close()

    def index(self, facts: tuple[str, ...] = FACTS) -> VectorStoreIndex:
        """Return an index over the facts."""
        documents = [Document(text=fact, id_=f"fact-{n}") for n, fact in enumerate(facts)]
        return VectorStoreIndex.from_documents(documents, embed_model=self.embed_model)

    def forget(self) -> None:
        """Be as a new process: only Redis is kept."""
        for model in self._open:
            if isinstance(model, AegisOllama):
                model.answering.service.store.close()
        said = set(wiring._said)
        wiring.forget_all()
        wiring._said |= said

    def close(self) -> None:
        """Close the blocking connections, which LlamaIndex leaves open."""
        for store in self.stores:
            store.close()
        for model in self._open:
            if model._client is not None:
                model._client.close()
            if isinstance(model, AegisOllama):
                model.answering.service.store.close()


def warm_up(model: AegisOllama) -> None:
    """Wait until the digests are known, so that a busy machine changes no outcome."""
    for awaited in (False, True):
        _, fetching = model.answering.service.digests.look(model.server(awaited=awaited), MODEL)
        if fetching is not None:
            fetching.result(10)


def ask(text: str, *before: ChatMessage) -> list[ChatMessage]:
    """Return messages that end with a question of the user."""
    return [*before, ChatMessage(role="user", content=text)]


def origin(response: Any) -> dict[str, Any]:
    """Return where a response came from."""
    found: dict[str, Any] = response.additional_kwargs["aegis"]
    return found


def outcome(response: Any) -> str:
    """Return where a response came from, in one word."""
    return str(origin(response)["outcome"])
