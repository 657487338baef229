"""LangChain's embeddings as the core's embedder."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings

_TELLING = (
    "model", "model_name", "model_id", "deployment", "repo_id", "dimensions", "size",
    "query_instruction", "embed_instruction", "normalize",
)  # fmt: skip


class LangChainEmbedder:
    """An embedder named after its class and the fields that tell its vectors apart."""

    def __init__(self, embeddings: Embeddings, embedding_id: str | None = None) -> None:
        self._embeddings = embeddings
        self.embedding_id = embedding_id or _derived(embeddings)

    def embed(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self._embeddings.embed_query(text)


def _derived(embeddings: Any) -> str:
    told = [
        f"{name}={value}"
        for name in _TELLING
        if isinstance(value := getattr(embeddings, name, None), str | int | float)
    ]
    return " ".join([type(embeddings).__name__, *told])
