"""A cache without a network, and what the metrics said meanwhile."""

from __future__ import annotations

from typing import Any

from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build

ANSWER = Answer(
    "Because.", prompt_tokens=10, completion_tokens=20, duration_ms=1500, done_reason="stop"
)


def ask(text: str = "Why?", framework: str = "langchain") -> Request:
    """Return a request that needs no server to be told apart."""
    message = {"role": "user", "content": text}
    return Request("m", (message,), identity="test", framework=framework)


def answering(store: Any = None, **options: Any) -> Answering:
    """Return a cache of its own on a store in memory."""
    config = AegisConfig().with_options(**{"redis_url": "memory://", **options})
    return Answering(build(config, None, MemoryStore() if store is None else store))


def call(cache: Answering, request: Request) -> str:
    """Ask, have a model answer that is instant, and return the outcome."""
    lookup, _ = cache.call(request, lambda: ANSWER, lambda answer: [answer])
    return lookup.origin.outcome
