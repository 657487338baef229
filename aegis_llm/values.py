"""Values that travel between the layers: closed, typed, JSON only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from aegis_llm import rejecting

Outcome = Literal["hit_local", "hit_exact", "hit_semantic", "coalesced", "miss", "bypass"]
"""Where an answer came from; see `Origin`."""

Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]
"""A time since the epoch, before the year 10000; one that no calendar can show is not read."""

Operation = Literal["chat", "invoke_workflow"]

RouteKind = Literal["reuse", "exact_only", "skip"]

RUNNER_OPTIONS = (
    "num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict",
)  # fmt: skip
"""Options that a model is loaded with: Ollama loads it anew when a request has others."""

Body = Mapping[str, Any]
"""A request body in the shape of Ollama's `/api/chat`, as it would be sent."""


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call of a tool that the model asked for."""

    name: str
    arguments: dict[str, Any] = {}


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One complete answer of a model, free of any framework.

    `blocks` holds content that is not plain text (a list of JSON objects) and `info` what a
    framework needs to rebuild its own object; both are JSON values only.
    """

    text: str = ""
    thinking: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    done_reason: str | None = None
    logprobs: list[dict[str, Any]] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration_ms: float = 0.0
    blocks: list[Any] | None = None
    info: dict[str, Any] | None = None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="v", tag=1):
    """What the cache keeps for one request; the value of both tiers.

    `key` is the hash of the whole canonical request (hex), `scope` that of everything but the
    question. Times are milliseconds since the epoch. `question` is absent when
    `store_prompts=False` or when the request has none. `documents` are the ids of what the answer
    was made from, `chunks` the hashes of the texts that were retrieved for it. `alias_of` is set
    in the local copy alone: the key of the entry that answered this request by meaning.
    """

    key: str
    answers: tuple[Answer, ...]
    created_ms: Milliseconds
    expires_ms: Milliseconds
    model: str = ""
    digest: str = ""
    scope: str = ""
    question: str | None = None
    tags: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    alias_of: str = ""
    chunks: tuple[str, ...] = ()

    @property
    def answer(self) -> Answer:
        """The first answer (an entry always has at least one)."""
        return self.answers[0]


class Candidate(msgspec.Struct, frozen=True):
    """An entry that the semantic tier found near the question, with its cosine similarity."""

    entry: Entry
    similarity: float
    question: str | None = None


class Origin(msgspec.Struct, frozen=True):
    """Where one answer came from, and why.

    `outcome` is one word, `reason` says why it was not a better one (empty on a plain hit).
    `lookup_ms` is the time that the cache took, `saved_tokens` the tokens that the model did not
    have to compute (prompt and completion) and `saved_s` the seconds that they took it once.
    `queued_ms` is the time that a model call waited in the queue of this process, `server` where
    it was sent; empty where none was, or not by us.
    """

    outcome: Outcome
    reason: str = ""
    similarity: float | None = None
    age_s: float | None = None
    entry_id: str | None = None
    matched_question: str | None = None
    lookup_ms: float = 0.0
    saved_tokens: int = 0
    queued_ms: float = 0.0
    server: str = ""
    saved_s: float = 0.0

    @property
    def hit(self) -> bool:
        """Whether the answer came without a model call of its own."""
        return self.outcome not in ("miss", "bypass")

    def as_dict(self) -> dict[str, Any]:
        """Return the plain dictionary that goes into a framework's metadata."""
        return msgspec.structs.asdict(self)

    def reject(self) -> bool:
        """Remove the entry that gave this answer; see `aegis_llm.reject`."""
        return rejecting.reject(self)


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of text that an answer was made from.

    `id` names the document that `invalidate(document=...)` names, `hash` its content (a new
    version has another); `text` is what stands in the prompt, where that is known.
    """

    id: str
    hash: str = ""
    text: str = ""


class Request(msgspec.Struct, frozen=True):
    """One request to a model, free of any framework.

    `messages` are in the shape of Ollama's `/api/chat`. `params` is every other field of the
    body that can change the answer (options, format, tools, think, ...). `identity` replaces the
    model's name and digest where a framework gives the identity as one text; such a request
    needs no digest, and its answers may lack a done reason. `server` names the Ollama it goes
    to (part of no key). `exact_only`, when not empty, is the reason to leave out the semantic
    tier. `documents` are those that were retrieved for it, as far as is known. `uses` names the
    models (server, model) whose digests belong to an `identity`. `since` is when the first of the
    documents began to be looked for, by the monotonic clock of this process. `framework` names
    who asks and `operation` what for (a chat with a model, or a workflow that makes such calls
    itself), for the metrics alone (part of no key).
    """

    model: str
    messages: tuple[Mapping[str, Any], ...]
    params: Mapping[str, Any] = {}
    identity: str | None = None
    server: str = ""
    exact_only: str = ""
    documents: tuple[Document, ...] = ()
    uses: tuple[tuple[str, str], ...] = ()
    since: float | None = None
    framework: str = ""
    operation: Operation = "chat"


Retrieved: TypeAlias = tuple[tuple[Document, ...], float | None]
"""The `documents` of a request, and `since` when."""


class Route(msgspec.Struct, frozen=True):
    """Whether a question may be answered by meaning, by an exact repeat only, or never.

    `reason` is "" for "reuse", else one word that says what kept it out.
    """

    kind: RouteKind
    reason: str = ""


class Control(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `cache_control` asks for; see there.

    `since` is when the first block with `documents` was entered, by the monotonic clock.
    """

    bypass: bool = False
    refresh: bool = False
    only_if_cached: bool = False
    ttl: float | None = None
    tenant: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    corpus_version: str | None = None
    since: float | None = None
