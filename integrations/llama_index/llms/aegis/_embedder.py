"""LlamaIndex's embedding models as the core's embedder."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding

_TELLING = (
    "model_name", "model", "model_id", "deployment_name", "azure_deployment", "dimensions",
    "output_dimensionality", "embed_dim", "query_instruction", "input_type", "task_type",
    "normalize", "pooling",
)  # fmt: skip

_SILENT = re.compile(
    "key|token$|secret|password|credential|auth|url|base|host|port$|endpoint|header|timeout|retr"
    "|batch|worker|callback|client|cache|rate_limit|progress|device|parallel|keep_alive|verbose"
)
_SIZES = re.compile("dim|length|size|ctx|tokens|version")


class LlamaIndexEmbedder:
    """An embedder named after its class and the fields that tell its vectors apart."""

    def __init__(self, embed_model: BaseEmbedding, embedding_id: str | None = None) -> None:
        self._embed_model = embed_model
        self.embedding_id = embedding_id or derived_id(embed_model)

    def embed(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self._embed_model.get_query_embedding(text)


def derived_id(embed_model: Any) -> str:
    """Return an embedder's name: its class and the fields that tell its vectors apart."""
    told = [
        f"{name}={value}"
        for name in _TELLING
        if isinstance(value := getattr(embed_model, name, None), str | int | float)
    ]
    others = _other_settings(embed_model)
    if others:
        told.append(f"settings={hashlib.sha256(others.encode()).hexdigest()[:16]}")
    name = vars(type(embed_model)).get("vectors_of", type(embed_model).__name__)
    return " ".join([name, *told])


def _other_settings(embed_model: Any) -> str:
    """Return as JSON what else differs from the defaults; counters and connections do not tell."""
    found: dict[str, Any] = {}
    beside = vars(type(embed_model)).get("cache_fields", frozenset())
    for name, field in getattr(type(embed_model), "model_fields", {}).items():
        value = getattr(embed_model, name, None)
        if name in _TELLING or name in beside or _SILENT.search(name):
            continue
        if type(value) is int and not _SIZES.search(name):
            continue
        try:
            if value != field.get_default(call_default_factory=True):
                found[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return json.dumps(found, sort_keys=True) if found else ""
