"""LangChain's embeddings as the core's embedder."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

_TELLING = (
    "model", "model_name", "model_id", "deployment", "repo_id", "dimensions", "size",
    "query_instruction", "embed_instruction", "normalize",
)  # fmt: skip
_ELSEWHERE = re.compile(
    "url|base|host|endpoint|region|key|token|secret|password|auth|credential|header|timeout|retr"
    "|cache|client|proxy|device|thread|gpu|process|progress|verbose|batch|chunk|keep_alive|valid"
)
"""Fields that say where and how vectors are computed, not which."""


class LangChainEmbedder:
    """An embedder named after its class and the fields that tell its vectors apart."""

    def __init__(self, embeddings: Embeddings, embedding_id: str | None = None) -> None:
        self._embeddings = embeddings
        self.embedding_id = embedding_id or derived_id(embeddings)

    def embed(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self._embeddings.embed_query(text)


def derived_id(embeddings: Any) -> str:
    """Return an embedder's name: its class and the fields that tell its vectors apart."""
    told = [
        f"{name}={value}"
        for name in _TELLING
        if isinstance(value := getattr(embeddings, name, None), str | int | float)
    ]
    settings = _settings(embeddings)
    if settings:
        encoded = msgspec.json.encode(settings, order="sorted")
        told.append(f"settings={hashlib.sha256(encoded).hexdigest()[:12]}")
    fields = getattr(embeddings, "__dict__", {}).values()
    told += [f"({derived_id(one)})" for one in fields if isinstance(one, Embeddings)]
    return " ".join([_kind(embeddings).__name__, *told])


def _kind(embeddings: Any) -> Any:
    """Return the class, or for one that only brings the vectors of another that other one."""
    return vars(type(embeddings)).get("vectors_of", type(embeddings))


def _settings(embeddings: Any) -> dict[str, Any]:
    """Return the other plain fields that were changed; they can change the vectors."""
    if not isinstance(embeddings, BaseModel):
        return {}
    settings = {}
    for name, field in _kind(embeddings).model_fields.items():
        value = getattr(embeddings, name, None)
        if name in _TELLING or _ELSEWHERE.search(name) or value == field.default:
            continue
        plain = _plain(value)
        if plain not in (None, {}, []):
            settings[name] = plain
    return settings


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: plain
            for name, one in value.items()
            if isinstance(name, str)
            and not _ELSEWHERE.search(name)
            and (plain := _plain(one)) is not None
        }
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float) else None
