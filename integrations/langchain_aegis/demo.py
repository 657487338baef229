"""The LangChain part of `aegis-llm demo`: an ordinary RAG chain with another model line."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from aegis_llm.control import observe
from aegis_llm.demo import ASKS, Row, Stage, timed
from langchain_aegis.chat_models import ChatAegis

TITLE = "LangChain: retriever | prompt | model | parser"
CHANGE = ("ChatOllama(model=...)", "ChatAegis(model=..., redis_url=..., embeddings=...)")
_PROMPT = ChatPromptTemplate.from_messages(
    [
        ("system", "Answer from this context, in one or two sentences.\n\n{context}"),
        ("human", "{question}"),
    ]
)


def demo(stage: Stage) -> Iterator[Row]:
    """Ask a RAG chain over the package's own documents."""
    embeddings = _Embeddings(stage)
    llm = ChatAegis(
        model=stage.model,
        base_url=stage.base_url,
        redis_url=stage.redis_url,
        embeddings=embeddings,
        temperature=0.0,
        namespace=f"demo-{uuid.uuid4().hex[:8]}",  # a first ask stays a first ask on every run
        ttl=300,
    )
    llm.connect_now()
    chain = _chain(stage, embeddings, llm)
    for ask in ASKS:
        with observe() as seen:
            answer = _stream if ask.streamed else _invoke
            yield timed(ask, lambda question, a=answer: a(chain, question), lambda: seen[-1])  # type: ignore[misc]


def _chain(stage: Stage, embeddings: Embeddings, llm: ChatAegis) -> Runnable[str, str]:
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document(text) for text in stage.documents()])
    retriever = store.as_retriever(search_kwargs={"k": 2})
    return (
        {"context": retriever | _joined, "question": RunnablePassthrough()}
        | _PROMPT
        | llm
        | StrOutputParser()
    )


def _joined(documents: list[Document]) -> str:
    return "\n\n".join(document.page_content for document in documents)


def _invoke(chain: Runnable[str, str], question: str) -> tuple[str, float]:
    first = _FirstToken()
    text = chain.invoke(question, config={"callbacks": [first]})
    return text, first.at or time.perf_counter()


def _stream(chain: Runnable[str, str], question: str) -> tuple[str, float]:
    first, parts = 0.0, []
    for part in chain.stream(question):
        if part and not first:
            first = time.perf_counter()
        parts.append(part)
    return "".join(parts), first or time.perf_counter()


class _FirstToken(BaseCallbackHandler):
    """Notes when the first token came."""

    at = 0.0

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.at = self.at or time.perf_counter()


class _Embeddings(Embeddings):
    """The embedding model of the stage's Ollama."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.model = stage.embedding_model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector for each text."""
        return self._stage.embed(texts)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return self._stage.embed([text])[0]
