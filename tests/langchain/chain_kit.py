"""Cached chains for a test, and every way to call one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough

from aegis_llm import AegisConfig
from langchain_aegis import cache_chain
from tests.langchain.handbook import SHOP, TWO_MESSAGES
from tests.langchain.kit import PATIENT, Kit

QUESTION = "What is the refund period for bicycles?"
REWORDED = "What's the refund period for bicycles?"
LOOK_ALIKE = "What is the refund period for helmets?"


class Counting(BaseRetriever):
    """Always finds its documents, and counts how often it was asked."""

    documents: list[Document]
    asked: list[str]

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        self.asked.append(query)
        return self.documents


def joined(docs: list[Document]) -> str:
    return "\n\n".join(doc.page_content for doc in docs)


def retriever(text: str = SHOP, own: str = "shop") -> Any:
    return Counting(documents=[Document(text, id=own)], asked=[])


def rag(model: Any, found: Any, *more: Any) -> Any:
    chain: Any = {"context": found | joined, "question": RunnablePassthrough()} | TWO_MESSAGES
    for step in (model, *(more or (StrOutputParser(),))):
        chain = chain | step
    return chain


def cached(kit: Kit, chain: Any, **given: Any) -> Any:
    """Return the cached chain, its models' digests known."""
    settings = {
        "redis_url": kit.redis_url,
        "namespace": kit.namespace,
        "embeddings": kit.embeddings,
        "aegis": AegisConfig().with_options(**PATIENT),
    } | given
    made: Any = cache_chain(chain, **settings)
    kit.stores.append(made._answering.service.store)
    digests = made._answering.service.digests
    for server, model in made._uses:
        _, fetching = digests.look(server, model)
        if fetching is not None:
            fetching.result(10)
    return made


async def invoke(chain: Any, given: Any) -> Any:
    return await asyncio.to_thread(chain.invoke, given)


async def ainvoke(chain: Any, given: Any) -> Any:
    return await chain.ainvoke(given)


async def batch(chain: Any, given: Any) -> Any:
    return (await asyncio.to_thread(chain.batch, [given]))[0]


async def abatch(chain: Any, given: Any) -> Any:
    return (await chain.abatch([given]))[0]


async def stream(chain: Any, given: Any) -> Any:
    return added(await asyncio.to_thread(lambda: list(chain.stream(given))))


async def astream(chain: Any, given: Any) -> Any:
    return added([chunk async for chunk in chain.astream(given)])


def added(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


Way = Callable[[Any, Any], Awaitable[Any]]
WAYS: dict[str, Way] = {
    way.__name__: way for way in (invoke, ainvoke, batch, abatch, stream, astream)
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
