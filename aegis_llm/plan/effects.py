"""What plans ask for and what they end with: closed, typed, without I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from aegis_llm.config import CacheConfig
from aegis_llm.learning.learned import Learned
from aegis_llm.matching import Matcher
from aegis_llm.names import Names
from aegis_llm.values import Control, Entry, Origin, Request

T = TypeVar("T")
Plan: TypeAlias = Generator[Any, Any, T]
UNREADABLE = "unreadable_entry"
MatchKind = Literal["served", "grey", "shadow"]
INVALIDATED = "invalidated"
CONTEXT_DIFFERS = "context_differs"


class Digest(msgspec.Struct, frozen=True):
    """Ask for the digest of the request's model -> str | None.

    With `keep` what Ollama says is kept in the store for new processes.
    """

    request: Request
    keep: bool = True


class GetLocal(msgspec.Struct, frozen=True):
    """Ask the in-process copy -> bytes | None."""

    key: str


class KeepLocal(msgspec.Struct, frozen=True):
    """Put into the in-process copy for at most `ttl_s` -> bool | None.

    False: one of its documents or tags (`names`) was invalidated since `State.events`.
    """

    key: str
    data: bytes
    ttl_s: float
    names: Names = ()
    events: int = 0


class DropLocal(msgspec.Struct, frozen=True):
    """Delete from the in-process copy -> None."""

    key: str


class GetExact(msgspec.Struct, frozen=True):
    """Ask the exact tier -> bytes | None."""

    key: str


class Drop(msgspec.Struct, frozen=True):
    """Delete an unreadable value -> None."""

    key: str


class Join(msgspec.Struct, frozen=True):
    """Join the flight of identical requests, and wait unless leading -> Seat."""

    key: str


class Embed(msgspec.Struct, frozen=True):
    """Embed a question -> bytes (float32, unit length)."""

    question: str


class Nearest(msgspec.Struct, frozen=True):
    """Ask the semantic tier for the nearest entries of a scope -> list[tuple[bytes, float]]."""

    scope: str
    vector: bytes
    count: int


class Recall(msgspec.Struct, frozen=True):
    """Make sure that what was learnt by others is known here -> None."""


class Judge(msgspec.Struct, frozen=True):
    """Ask the judge whether two questions are the same, of one scope -> bool."""

    request: Request
    asked: str
    cached: str
    scope: str


class Survey(msgspec.Struct, frozen=True):
    """Look for the nearest entries, making no index -> list[tuple[bytes, float]].

    Those of one scope, else those of one tenant (see `tenant_tag`), else all of the namespace.
    """

    vector: bytes
    count: int
    scope: str | None = None
    tenant: str | None = None


class Settle(msgspec.Struct, frozen=True):
    """Tell the followers of a flight: the entry, or None to let each call for itself -> None."""

    flight: Any
    entry: Entry | None


class SemanticRecord(msgspec.Struct, frozen=True):
    """What the semantic tier keeps beside the entry."""

    entry_id: str
    scope: str
    question: str
    vector: bytes
    tenant: str
    model: str
    tags: tuple[str, ...]
    documents: tuple[str, ...]
    created_ms: int


class Put(msgspec.Struct, frozen=True):
    """Store in the exact tier and, with `semantic`, in both, as one step -> None.

    The entry is remembered under its `names`; nothing is stored when one of them was invalidated
    after the first `sequence` invalidations of the namespace.
    """

    key: str
    data: bytes
    ttl_ms: int
    semantic: SemanticRecord | None = None
    names: Names = ()
    sequence: int = 0


class State(msgspec.Struct, frozen=True):
    """What this process knows of the invalidations in its namespace.

    `version` counts those of everything and `sequence` those of documents and tags, in all
    processes; `events` counts what this process has heard of.
    """

    version: int = 0
    sequence: int = 0
    events: int = 0


def _nothing_known(_: float) -> State:
    return State()


class Seat(msgspec.Struct, frozen=True):
    """The place of a request in a flight: it leads, it follows, or it flies alone.

    A follower has either the leader's `entry` or its `stream`.
    """

    flight: Any = None
    entry: Entry | None = None
    stream: Any = None


class Ticket(msgspec.Struct, frozen=True):
    """What a miss needs to be stored later."""

    request: Request
    control: Control
    digest: str
    hashed: str
    key: str
    flight: Any = None
    scope: str = ""
    question: str | None = None
    vector: bytes | None = None
    trouble: bool = False
    edition: tuple[bytes, ...] = ()
    state: State = State()


class Match(msgspec.Struct, frozen=True):
    """A pair of questions to learn from: served, left to the judge, or noted in shadow mode.

    `key` is that of the request, under which the local copy may hold the entry.
    """

    kind: MatchKind
    asked: str
    cached: str
    entry: Entry
    similarity: float
    key: str


class Opened(msgspec.Struct, frozen=True):
    """The end of `open_plan`: a hit (`entry`), a shared `stream`, or a miss (`ticket`)."""

    origin: Origin
    entry: Entry | None = None
    stream: Any = None
    ticket: Ticket | None = None
    match: Match | None = None


class Rules(msgspec.Struct, frozen=True):
    """The settings that plans decide by, their clock (milliseconds) and randomness (0..1).

    `state` tells what is known of invalidations, without asking anybody, and `state_at` what was
    known at a moment (see `Request.since`).
    """

    cache: CacheConfig
    matcher: Matcher
    semantic: bool
    now_ms: Callable[[], int]
    random: Callable[[], float]
    state: Callable[[], State] = State
    learned: Learned = msgspec.field(default_factory=Learned)
    state_at: Callable[[float], State] = _nothing_known
