"""How a LangChain model is copied and shown: nothing that has no copy, no secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel

from aegis_llm.ollama_servers import shown_urls


class Copies(BaseModel):
    """A model whose copies share its clients, embedder and cache."""

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy that shares clients, embedder and cache: those have no copies."""
        memo = {} if memo is None else memo
        fields: Mapping[str, Any] = self.__dict__
        names = ("embeddings", "extractor", "aegis", "rate_limiter")
        shared = [*(fields[name] for name in names), *(self.__pydantic_private__ or {}).values()]
        memo |= {id(one): one for one in shared}
        return super().__deepcopy__(memo)

    def __repr_args__(self) -> Any:
        for name, value in super().__repr_args__():
            yield name, shown_urls(value) if name == "base_url" else value
