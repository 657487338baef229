"""Cached query engines for a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core import Settings
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    StreamingResponse,
)
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.schema import NodeWithScore

from aegis_llm import AegisConfig
from llama_index.llms.aegis import AegisQueryEngine
from tests.llama_index.kit import FACTS, PATIENT, Kit

Way = Callable[[Any, str], Awaitable[Any]]


class Counting(BaseRetriever):
    """Finds what another retriever finds, and counts how often it was asked."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self._asked: list[str] = []
        super().__init__()

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        self._asked.append(query_bundle.query_str)
        return self.inner.retrieve(query_bundle)  # type: ignore[no-any-return]


def plain(kit: Kit, facts: tuple[str, ...] = FACTS, llm: Any = None, **given: Any) -> Any:
    """Return a query engine as people make it, on the stock model."""
    Settings.embed_model = kit.embed_model
    index = kit.index(facts)
    return index.as_query_engine(
        llm=llm or kit.stock(context_window=4096), similarity_top_k=2, **given
    )


def cached(kit: Kit, engine: Any, **given: Any) -> Any:
    """Return the cached engine, its models' digests known."""
    settings = {
        "redis_url": kit.redis_url,
        "namespace": kit.namespace,
        "embed_model": kit.embed_model,
        "aegis": AegisConfig().with_options(**PATIENT),
    } | given
    made = AegisQueryEngine(engine, **settings)
    kit.stores.append(made._answering.service.store)
    digests = made._answering.service.digests
    for server, model in made._uses:
        _, fetching = digests.look(server, model)
        if fetching is not None:
            fetching.result(10)
    return made


async def query(engine: Any, question: str) -> Any:
    return await asyncio.to_thread(engine.query, question)


async def aquery(engine: Any, question: str) -> Any:
    return await engine.aquery(question)


async def close(kit: Kit) -> None:
    """Close the awaited connections, which stock models leave open."""
    for model in kit._open:
        if type(model).__name__ == "Ollama" and model._async_client is not None:
            await model._async_client.close()


async def text(response: Any) -> str:
    """Return the whole text of a response of any kind."""
    if isinstance(response, AsyncStreamingResponse):
        return "".join([part async for part in response.async_response_gen()])
    if isinstance(response, StreamingResponse):
        return "".join(response.response_gen)
    return str(response)


WAYS: dict[str, Way] = {"query": query, "aquery": aquery}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
STREAMING = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streaming"])


class Given(CustomQueryEngine):
    """Answers with what it is given."""

    answer: Any = None
    asked: int = 0

    def custom_query(self, query_str: str) -> Any:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Raw(Given):
    """Answers with a response object of its own."""

    def query(self, query: Any) -> Any:
        return self.custom_query(str(query))
