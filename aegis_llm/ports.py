"""What the service needs from the outside, as protocols."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from aegis_llm.learning.ledger import Counts, Label
from aegis_llm.learning.pairs import Finding
from aegis_llm.names import Names
from aegis_llm.plan import Put, Survey


class Notes(Protocol):
    """What was learnt, kept beside the entries; asked in the background, and takes its time.

    Every method raises `StoreTrouble` when the store cannot answer, and nothing else.
    """

    def write(self, pairs: Mapping[str, Finding], labels: Sequence[Label], now_ms: int) -> None:
        """Add findings about pairs by their names, and labels; what is old goes for what is new.

        An approval goes before any refusal, and what a user rejected only for more of that.
        """

    def pairs(self, since_ms: int) -> dict[str, Finding]:
        """Return the findings since a time, by their names."""

    def labels(self) -> tuple[Counts, Counts, list[Label]]:
        """Return the counts of this namespace and of all, and the last labels in their order."""

    def remove(self, entry_id: str) -> list[bytes]:
        """Delete an entry from both tiers, whatever embedder found it; return its values."""

    def add_hits(self, hits: Mapping[str, int], now_ms: int, keep_ms: int) -> None:
        """Count hits of entries by their ids, used now; drop what was not used for `keep_ms`."""

    def size(self) -> tuple[int | None, int | None]:
        """Return how many entries the namespace has, and the bytes that the store takes."""


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
        """Store in one atomic step, the expiry included.

        Trouble with the reason `invalidated`: one of the entry's documents or tags was invalidated
        since it was asked for.
        """

    async def aput(self, put: Put) -> None:
        """Like `put`, awaited."""

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return values that nothing invalidates (vectors), in order."""

    async def aget_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Like `get_many`, awaited."""

    def put_many(self, puts: Sequence[Put]) -> None:
        """Store such values: each by itself, some of them may be stored when there is trouble."""

    async def aput_many(self, puts: Sequence[Put]) -> None:
        """Like `put_many`, awaited."""

    @property
    def left_alone(self) -> bool:
        """Whether it is not asked at present, after repeated trouble."""

    @property
    def searches(self) -> bool:
        """Whether `nearest` is worth an embedding: False where the server is known to lack it."""

    def nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Return entries of a scope with their cosine similarity, nearest first."""

    async def anearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Like `nearest`, awaited."""

    def survey(self, survey: Survey) -> list[tuple[bytes, float]]:
        """Return entries with their cosine similarity, nearest first; makes no index."""

    async def asurvey(self, survey: Survey) -> list[tuple[bytes, float]]:
        """Like `survey`, awaited."""

    def delete(self, key: str) -> None:
        """Delete one value of the exact tier."""

    async def adelete(self, key: str) -> None:
        """Like `delete`, awaited."""

    @property
    def notes(self) -> Notes:
        """What was learnt about the entries of the namespace."""

    def clear(self) -> None:
        """Delete every entry of the namespace."""

    async def aclear(self) -> None:
        """Like `clear`, awaited."""

    @property
    def numbers(self) -> tuple[int, int]:
        """The version of everything, and how often documents and tags were invalidated.

        As far as is known; the version is greater after each invalidation of everything.
        """

    @property
    def changed(self) -> float:
        """When `numbers` changed last, or earlier than ever, by the monotonic clock."""

    @property
    def doubtful(self) -> bool:
        """Whether `numbers` are so old that a local copy may not be used before asking."""

    def invalidate(self, names: Names) -> int:
        """Remove the entries of these names in both tiers, tell all processes, and count them."""

    async def ainvalidate(self, names: Names) -> int:
        """Like `invalidate`, awaited."""

    def renew(self) -> int:
        """Part from all entries of the namespace; tell all processes the new version."""

    async def arenew(self) -> int:
        """Like `renew`, awaited."""

    def publish(self, event: bytes) -> None:
        """Tell everyone who subscribed to the namespace: here at once, elsewhere soon."""

    def subscribe(self, handler: Callable[[bytes], None]) -> None:
        """Call a method, which is not kept alive by that, with every event of the namespace."""

    def ready(self, timeout_s: float) -> None:
        """Connect (and start a private server) now; raise `StoreTrouble` when that fails."""

    def close(self) -> None:
        """Release connections."""

    async def aclose(self) -> None:
        """Like `close`, for those of the running event loop too."""


class VectorSource(Protocol):
    """One model on one Ollama that computes vectors, with the options it is asked with."""

    @property
    def identity(self) -> Hashable:
        """What tells it apart: the same for all whose requests may be one."""

    @property
    def models(self) -> ModelSource:
        """The server, asked for the digest of the model."""

    @property
    def model(self) -> str:
        """Full name of the model."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of its requests."""

    @property
    def dimensions(self) -> int | None:
        """How many numbers are asked for."""

    @property
    def truncate(self) -> bool:
        """Whether a text that is too long is cut."""

    def embed(self, texts: Sequence[str], *, truncate: bool) -> Sequence[Sequence[float]]:
        """Send one request; blocks, and raises what the client raises."""

    async def aembed(self, texts: Sequence[str], *, truncate: bool) -> Sequence[Sequence[float]]:
        """Like `embed`, awaited."""


class Embedder(Protocol):
    """Turns a question into a vector."""

    @property
    def embedding_id(self) -> str:
        """Name of the embedder, the same in every process that uses the same one."""

    def embed(self, text: str) -> list[float]:
        """Return the vector of one text; may block and may raise anything."""


class Reply(msgspec.Struct, frozen=True):
    """What a model said, and whether it ended by itself."""

    text: str
    complete: bool


class ModelSource(Protocol):
    """The Ollama server a model runs on, asked for the digests of its models, and to judge."""

    @property
    def server(self) -> str:
        """Name of the server (its URL without secrets)."""

    def fetch(self) -> Mapping[str, str]:
        """Return digests by full model name, from `/api/tags`; may block and may raise."""

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model; None when `going` turned False meanwhile. May block and may raise."""
