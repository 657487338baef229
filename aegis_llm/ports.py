"""What the service needs from the outside, as protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aegis_llm.plan import Put


class Store(Protocol):
    """Both tiers of the cache.

    Every method raises `StoreTrouble` when the store cannot answer in its time budget, and nothing
    else. The awaited twins do the same without blocking the event loop.
    """

    def get(self, key: str) -> bytes | None:
        """Return the value of the exact tier."""

    async def aget(self, key: str) -> bytes | None:
        """Like `get`, awaited."""

    def put(self, put: Put) -> None:
        """Store in one atomic step, the expiry included."""

    async def aput(self, put: Put) -> None:
        """Like `put`, awaited."""

    @property
    def searches(self) -> bool:
        """Whether `nearest` is worth an embedding: False where the server is known to lack it."""

    def nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Return entries of a scope with their cosine similarity, nearest first."""

    async def anearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Like `nearest`, awaited."""

    def delete(self, key: str) -> None:
        """Delete one value of the exact tier."""

    async def adelete(self, key: str) -> None:
        """Like `delete`, awaited."""

    def clear(self) -> None:
        """Delete every entry of the namespace."""

    async def aclear(self) -> None:
        """Like `clear`, awaited."""

    def ready(self, timeout_s: float) -> None:
        """Connect (and start a private server) now; raise `StoreTrouble` when that fails."""

    def close(self) -> None:
        """Release connections."""

    async def aclose(self) -> None:
        """Like `close`, for those of the running event loop too."""


class Embedder(Protocol):
    """Turns a question into a vector."""

    @property
    def embedding_id(self) -> str:
        """Name of the embedder, the same in every process that uses the same one."""

    def embed(self, text: str) -> list[float]:
        """Return the vector of one text; may block and may raise anything."""


class ModelSource(Protocol):
    """The Ollama server a model runs on, asked for the digests of its models."""

    @property
    def server(self) -> str:
        """Name of the server (its URL without secrets)."""

    def fetch(self) -> Mapping[str, str]:
        """Return digests by full model name, from `/api/tags`; may block and may raise."""
