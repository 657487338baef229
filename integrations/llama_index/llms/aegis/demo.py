"""The LlamaIndex part of `aegis-llm demo`: an ordinary query engine with another model line."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr

from aegis_llm.control import observe
from aegis_llm.demo import ASKS, Row, Stage, timed
from llama_index.llms.aegis.base import AegisOllama

TITLE = "LlamaIndex: VectorStoreIndex.as_query_engine()"
CHANGE = (
    "Settings.llm = Ollama(model=...)",
    "Settings.llm = AegisOllama(model=..., redis_url=..., embed_model=...)",
)


def demo(stage: Stage) -> Iterator[Row]:
    """Ask a query engine over the package's own documents."""
    embed_model = _Embedding(stage)
    llm = AegisOllama(
        model=stage.model,
        base_url=stage.base_url,
        redis_url=stage.redis_url,
        embed_model=embed_model,
        temperature=0.0,
        context_window=4096,
        request_timeout=300.0,
        namespace=f"demo-{uuid.uuid4().hex[:8]}",  # a first ask stays a first ask on every run
        ttl=300,
    )
    llm.connect_now()
    Settings.llm, Settings.embed_model = llm, embed_model
    index = VectorStoreIndex.from_documents([Document(text=text) for text in stage.documents()])
    whole, streaming = index.as_query_engine(), index.as_query_engine(streaming=True)
    for ask in ASKS:
        engine = streaming if ask.streamed else whole
        with observe() as seen:
            yield timed(ask, lambda question, e=engine: _ask(e, question), lambda: seen[-1])  # type: ignore[misc]


def _ask(engine: Any, question: str) -> tuple[str, float]:
    response = engine.query(question)
    if not hasattr(response, "response_gen"):
        return str(response), time.perf_counter()
    first, parts = 0.0, []
    for part in response.response_gen:
        if part and not first:
            first = time.perf_counter()
        parts.append(part)
    return "".join(parts), first or time.perf_counter()


class _Embedding(BaseEmbedding):
    """The embedding model of the stage's Ollama."""

    _stage: Stage = PrivateAttr()

    def __init__(self, stage: Stage) -> None:
        super().__init__(model_name=str(stage.embedding_model))
        self._stage = stage

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._stage.embed([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._stage.embed(texts)

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)
