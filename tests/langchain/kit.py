"""Models for a test: ChatAegis and the stock ChatOllama, on one simulator and one Redis."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_ollama import ChatOllama

from aegis_llm import AegisConfig
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import AegisCache, ChatAegis

MODEL = "llama3.1:8b"
PATIENT = {
    "redis_timeout_ms": 5000,
    "redis_connect_timeout_ms": 5000,
    "embed_timeout_ms": 30000,
}
"""Time limits that a busy test machine does not reach."""
NO_TLS = {"verify": False}
"""Spares each client the loading of certificates, which nothing on loopback needs."""
OPTIONS = ("redis_timeout_ms", "redis_connect_timeout_ms", "embed_timeout_ms", "local_max_bytes",
           "local_max_age_s", "store_prompts", "single_flight", "max_question_tokens",
           "embedding_id", "neighbours", "judge", "judge_model", "shadow", "check_hits",
           "max_wrong_hits", "normalise_options", "schedule", "num_parallel", "retries",
           "max_queue", "queue_timeout_s", "window", "window_ms")  # fmt: skip


class Remembered(Embeddings):
    """Real embeddings that compute each text once in a session, and count who asks."""

    model = "all-minilm"

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings
        self._known: dict[str, list[float]] = {}
        self.asked: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        self.asked.append(text)
        if text not in self._known:
            self._known[text] = self._embeddings.embed_query(text)
        return self._known[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class Kit:
    """Makes models and closes what they opened."""

    def __init__(
        self, ollama: OllamaSimulator, redis_url: str, namespace: str, embeddings: Any
    ) -> None:
        self.ollama = ollama
        self.redis_url = redis_url
        self.namespace = namespace
        self.embeddings = embeddings
        self._open: list[ChatOllama] = []
        self._caches: list[AegisCache] = []
        self.stores: list[Any] = []

    @property
    def calls(self) -> int:
        """How often the model was asked so far."""
        return self.ollama.count("/api/chat")

    def aegis(self, *, warm: bool = True, **given: Any) -> Any:
        """Return a ChatAegis that knows its model's digest, unless `warm` is off."""
        nested = {name: given.pop(name) for name in OPTIONS if name in given}
        settings = {
            "model": MODEL,
            "base_url": self.ollama.base_url,
            "client_kwargs": NO_TLS,
            "redis_url": self.redis_url,
            "namespace": self.namespace,
            "embeddings": self.embeddings,
            "aegis": AegisConfig().with_options(**(PATIENT | nested)),
        } | given
        model = ChatAegis(**settings)
        self._open.append(model)
        if warm:
            warm_up(model)
        return model

    def stock(self, **given: Any) -> Any:
        """Return the stock model with the same settings."""
        settings = {
            "model": MODEL,
            "base_url": self.ollama.base_url,
            "client_kwargs": NO_TLS,
        } | given
        model = ChatOllama(**settings)
        self._open.append(model)
        return model

    def cache(self, **given: Any) -> Any:
        """Return an AegisCache."""
        settings = {
            "redis_url": self.redis_url,
            "namespace": self.namespace,
            "embeddings": self.embeddings,
        } | given
        config = AegisConfig().with_options(**PATIENT)
        made = AegisCache(config=config, **settings)
        self._caches.append(made)
        return made

    def close(self) -> None:
        """Close the blocking connections."""
        for store in self.stores:
            store.close()
        for cache in self._caches:
            cache._service.store.close()
        for model in self._open:
            model._client._client.close()
            if isinstance(model, ChatAegis):
                model._answering.service.store.close()

    async def aclose(self) -> None:
        """Close the stock models' awaited connections, which nothing else closes."""
        for model in self._open:
            if not isinstance(model, ChatAegis):
                await model._async_client._client.aclose()


def warm_up(model: ChatAegis) -> None:
    """Wait until the digests are known, so that a busy machine changes no outcome."""
    digests = model._answering.service.digests
    _, fetching = digests.look(model._source.server, MODEL)
    if fetching is not None:
        fetching.result(10)


def outcome(message: Any) -> str:
    """Return where a message came from."""
    return str(message.response_metadata["aegis"]["outcome"])


def reason(message: Any) -> str:
    """Return why a message came from there."""
    return str(message.response_metadata["aegis"]["reason"])


def error_of(call: Callable[[], Any]) -> tuple[type[BaseException], str] | None:
    """Return the class and the text of what a call raises; None when it returns."""
    try:
        call()
    except Exception as exc:  # noqa: BLE001 - whatever it is, it gets compared
        return type(exc), str(exc)
    return None


async def error_awaited(call: Callable[[], Awaitable[Any]]) -> tuple[type, str] | None:
    """Like `error_of`, awaited."""
    try:
        await call()
    except Exception as exc:  # noqa: BLE001 - as in `error_of`
        return type(exc), str(exc)
    return None


def forget_stock_models() -> None:
    """Collect stock models that LangChain made itself: they never close their connections."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        _never.wait(0.001)


async def auntil(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Like `until`, awaited."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.001)


_never = threading.Event()


def waiting(model: ChatAegis) -> int:
    """Return how many requests wait for another one's answer."""
    flights = model._answering.service.flights._flights
    return sum(len(flight.waiters) for flight in list(flights.values()))


def flying(model: ChatAegis) -> int:
    """Return how many different requests are under way."""
    return len(model._answering.service.flights)
