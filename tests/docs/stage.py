"""What the blocks of the documentation name and do not make: the reader's own chain and texts."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import llama_index.core
from langchain.agents import create_agent
from langchain_core.globals import set_llm_cache
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_ollama import ChatOllama, OllamaEmbeddings

import aegis_llm
import langchain_aegis
from aegis_llm import wiring

TEXTS = (
    "When Redis is down the model answers and nobody sees an error.",
    "Shipping to Norway costs 40 euros.",
    "The warranty lasts 24 months.",
)
SYSTEM = "You answer the questions of the customers of a shop, briefly. " * 8
PROMPT = ChatPromptTemplate.from_messages(
    [("system", "Answer from the context.\n\nContext:\n{context}"), ("human", "{question}")]
)


@tool
def price(article: str) -> str:
    """Tell the price of an article."""
    return f"{article}: 40 euros"


def joined(documents: list[Any]) -> str:
    """Join the texts of documents, as every tutorial does."""
    return "\n\n".join(document.page_content for document in documents)


def retriever() -> Any:
    """Return a retriever over a few texts."""
    store = InMemoryVectorStore.from_texts(TEXTS, OllamaEmbeddings(model="all-minilm"))
    return store.as_retriever(search_kwargs={"k": 1})


def llm() -> Any:
    """Return the model of the first page."""
    return langchain_aegis.ChatAegis(
        model="llama3.1:8b", temperature=0, embeddings=OllamaEmbeddings(model="all-minilm")
    )


def chain() -> Any:
    """Return the chain of the first page."""
    found = {"context": retriever() | joined, "question": RunnablePassthrough()}
    return found | PROMPT | llm() | StrOutputParser()


def settings() -> Any:
    """Return LlamaIndex's settings, with models that answer."""
    from llama_index.llms.aegis import AegisEmbedding, AegisOllama

    made = llama_index.core.Settings
    made.embed_model = AegisEmbedding("all-minilm")
    made.llm = AegisOllama(model="llama3.1:8b", embed_model=made.embed_model)
    return made


def index() -> Any:
    """Return an index over a few texts."""
    settings()
    documents = [llama_index.core.Document(text=text) for text in TEXTS]
    return llama_index.core.VectorStoreIndex.from_documents(documents)


def _of(module: Any, name: str) -> Callable[[], Any]:
    return lambda: getattr(module, name)


def _llama(name: str) -> Callable[[], Any]:
    def found() -> Any:
        from llama_index.llms import aegis

        return getattr(aegis, name)

    return found


NAMES: dict[str, Callable[[], Any]] = {
    "SYSTEM": lambda: SYSTEM,
    "Settings": settings,
    "TextNode": lambda: llama_index.core.schema.TextNode,
    "StrOutputParser": lambda: StrOutputParser,
    "RunnablePassthrough": lambda: RunnablePassthrough,
    "ChatOllama": lambda: ChatOllama,
    "OllamaEmbeddings": lambda: OllamaEmbeddings,
    "aegis_llm": lambda: aegis_llm,
    "asynccontextmanager": lambda: asynccontextmanager,
    "chain": chain,
    "create_agent": lambda: create_agent,
    "documents": lambda: [llama_index.core.Document(text=text) for text in TEXTS],
    "embeddings": lambda: OllamaEmbeddings(model="all-minilm"),
    "format_docs": lambda: joined,
    "index": index,
    "llm": llm,
    "message": lambda: llm().invoke([HumanMessage("How long is the warranty?")]),
    "model": llm,
    "prompt": lambda: PROMPT,
    "questions": lambda: ["How long is the warranty?", "What does shipping cost?"],
    "retriever": retriever,
    "set_llm_cache": lambda: set_llm_cache,
    "texts": lambda: list(TEXTS),
    "tools": lambda: [price],
    **{name: _of(aegis_llm, name) for name in ("AegisConfig", "CacheConfig", "cache_control")},
    **{
        name: _of(langchain_aegis, name)
        for name in ("AegisCache", "AegisEmbeddings", "ChatAegis", "cache_chain")
    },
    **{name: _llama(name) for name in ("AegisOllama", "AegisQueryEngine")},
}


def pairs() -> list[dict[str, Any]]:
    """Return labelled pairs, as a reader would write them: enough to calibrate with."""
    things = ("refund", "warranty", "delivery", "invoice", "discount", "parcel", "account", "tour")
    found = []
    for number, thing in enumerate(things * 30):
        asked = f"How long does the {thing} number {number} take?"
        found.append({"a": asked, "b": f"How long will the {thing} number {number} take?",
                      "same": True})  # fmt: skip
        if number % 10 == 0:
            other = f"How much does the {thing} number {number} cost?"
            found.append({"a": asked, "b": other, "same": False})
    return found


def forget() -> None:
    """Close what the blocks opened, and forget it: a program would end here."""
    llama_index.core.Settings._llm = None
    llama_index.core.Settings._embed_model = None
    kept = [answering.service for answering in wiring._shared.values()]
    for one in [*kept, *wiring._vector_stores.values()]:
        one.store.close()
    wiring.forget_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
