"""The caches under test, each behind a LangChain chat model on Ollama."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_redis import RedisCache, RedisSemanticCache

from aegis_llm.testing import MiniLM
from langchain_aegis import AegisCache, ChatAegis

Make = Callable[..., BaseChatModel]
"""Makes a model with the settings of ChatOllama; all of one cache share its entries."""


class Sentences(Embeddings):
    """all-MiniLM-L6-v2 in this process."""

    model = "all-minilm"

    def __init__(self) -> None:
        self._minilm = MiniLM()

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return self._minilm.embed(texts).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class System:
    """One cache; `open(url, name)` connects a new, empty one and returns its models."""

    name: str
    open: Callable[[str, str], Make]
    ours: bool = False


def systems() -> list[System]:
    """Return ours, then the peers."""
    sentences = Sentences()

    def aegis(url: str, name: str) -> Make:
        return lambda **given: ChatAegis(
            redis_url=url, namespace=name, embeddings=sentences, **given
        )

    def aegis_cache(url: str, name: str) -> Make:
        cache = AegisCache(redis_url=url, namespace=name, embeddings=sentences)
        return lambda **given: cache.bind(ChatOllama(**given))

    def exact(url: str, name: str) -> Make:
        return _with(RedisCache(url, prefix=name))

    def semantic(distance: float | None) -> Callable[[str, str], Make]:
        given: dict[str, Any] = {} if distance is None else {"distance_threshold": distance}
        return lambda url, name: _with(
            RedisSemanticCache(sentences, url, name=f"{name}s", **given)
        )

    return [
        System("ChatAegis", aegis, ours=True),
        System("AegisCache.bind(ChatOllama)", aegis_cache, ours=True),
        System("langchain-redis RedisCache", exact),
        System("RedisSemanticCache, 0.2 (default)", semantic(None)),
        System("RedisSemanticCache, 0.08", semantic(0.08)),
    ]


def _with(cache: Any) -> Make:
    return lambda **given: ChatOllama(cache=cache, **given)
