"""LlamaIndex's embedding models as the core's embedder."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding

_TELLING = (
    "model_name", "model", "model_id", "deployment_name", "azure_deployment", "dimensions",
    "output_dimensionality", "embed_dim", "query_instruction", "input_type", "task_type",
    "normalize", "pooling",
)  # fmt: skip


class LlamaIndexEmbedder:
    """An embedder named after its class and the fields that tell its vectors apart."""

    def __init__(self, embed_model: BaseEmbedding, embedding_id: str | None = None) -> None:
        self._embed_model = embed_model
        self.embedding_id = embedding_id or _derived(embed_model)

    def embed(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self._embed_model.get_query_embedding(text)


def _derived(embed_model: Any) -> str:
    told = [
        f"{name}={value}"
        for name in _TELLING
        if isinstance(value := getattr(embed_model, name, None), str | int | float)
    ]
    return " ".join([type(embed_model).__name__, *told])
