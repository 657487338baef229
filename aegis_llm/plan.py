"""The course of one request, as generators of effects that do no I/O themselves.

Order: local copy, exact tier, single-flight, local copy again, embedding, nearest entries of the
scope, matching, else a miss. `open_plan` ends with a hit or a miss, `close_plan` stores what the
model answered. Whatever goes wrong with the cache is a miss with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

import msgspec

from aegis_llm import codec
from aegis_llm.config import CacheConfig
from aegis_llm.errors import NotCachedError, Trouble
from aegis_llm.keys import UncacheableError, exact_key, query_hash, scope_hash, tenant_tag
from aegis_llm.matching import choose
from aegis_llm.questions import NoQuestion, Split, find_question
from aegis_llm.storable import not_shareable, not_storable
from aegis_llm.values import Answer, Candidate, Control, Entry, Origin, Request
from aegis_llm.window import fits_window

T = TypeVar("T")
Plan: TypeAlias = Generator[Any, Any, T]
UNREADABLE = "unreadable_entry"


class Digest(msgspec.Struct, frozen=True):
    """Ask for the digest of the request's model -> str | None."""

    request: Request


class GetLocal(msgspec.Struct, frozen=True):
    """Ask the in-process copy -> bytes | None."""

    key: str


class KeepLocal(msgspec.Struct, frozen=True):
    """Put into the in-process copy for at most `ttl_s` -> None."""

    key: str
    data: bytes
    ttl_s: float


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
    docs: tuple[str, ...]
    created_ms: int


class Put(msgspec.Struct, frozen=True):
    """Store in the exact tier and, with `semantic`, in both, as one step -> None."""

    key: str
    data: bytes
    ttl_ms: int
    semantic: SemanticRecord | None = None


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


class Opened(msgspec.Struct, frozen=True):
    """The end of `open_plan`: a hit (`entry`), a shared `stream`, or a miss (`ticket`)."""

    origin: Origin
    entry: Entry | None = None
    stream: Any = None
    ticket: Ticket | None = None


class Rules(msgspec.Struct, frozen=True):
    """The settings that plans decide by, and their clock (milliseconds) and randomness (0..1)."""

    cache: CacheConfig
    semantic: bool
    now_ms: Callable[[], int]
    random: Callable[[], float]


def open_plan(request: Request, control: Control, rules: Rules, stream: str = "") -> Plan[Opened]:
    """Look for an answer to the request.

    Identical requests share a flight when they have the same `stream`: empty for whole answers,
    else a name of the kind of stream, since only readers of one kind can share one.

    Raises:
        NotCachedError: There is none and the control says `only_if_cached`.
    """
    opened = yield from _open(request, control, rules, stream)
    if control.only_if_cached and opened.entry is None:
        msg = f"no cached answer ({opened.origin.reason}), and only_if_cached=True forbids a call"
        raise NotCachedError(msg)
    return opened


def _open(request: Request, control: Control, rules: Rules, stream: str) -> Plan[Opened]:
    if control.bypass:
        return _bypass("asked")
    digest = "" if request.identity is not None else (yield Digest(request))
    if digest is None:
        return _bypass("model_unknown")
    try:
        hashed = query_hash(request, digest, control)
    except UncacheableError as exc:
        return _bypass(exc.reason)
    key = exact_key(rules.cache.namespace, hashed, request)
    trouble = ""
    if not control.refresh:
        hit, trouble = yield from _exact(key, hashed, rules)
        if hit is not None:
            return hit
    ticket = Ticket(request, control, digest, hashed, key)
    if control.only_if_cached:
        return (yield from _semantic(ticket, rules, trouble))
    # A refresh must not end with the old entry that another's flight may find.
    seat: Seat = yield Join(f"{hashed}{stream}!" if control.refresh else hashed + stream)
    if seat.entry is not None:
        return _hit("coalesced", seat.entry, rules)
    if seat.stream is not None:
        return Opened(Origin("coalesced"), stream=seat.stream)
    if seat.flight is None:
        return (yield from _semantic(ticket, rules, trouble))
    ticket = msgspec.structs.replace(ticket, flight=seat.flight)
    return (yield from _lead(ticket, rules, trouble))


def _exact(key: str, hashed: str, rules: Rules) -> Plan[tuple[Opened | None, str]]:
    """Look into the local copy and the exact tier; return the hit, or what was in the way."""
    data = yield GetLocal(key)
    if data is not None and (entry := _usable(data, hashed, rules)):
        return _hit("hit_local", entry, rules), ""
    try:
        data = yield GetExact(key)
        if data is None:
            return None, ""
        if entry := _usable(data, hashed, rules):
            yield KeepLocal(key, data, (entry.expires_ms - rules.now_ms()) / 1000)
            return _hit("hit_exact", entry, rules), ""
        yield Drop(key)
    except Trouble as exc:
        return None, exc.reason
    return None, UNREADABLE


def _lead(ticket: Ticket, rules: Rules, trouble: str) -> Plan[Opened]:
    """Go on as the leader of a flight, which hears of a hit, or gets another leader."""
    try:
        opened = yield from _landed(ticket, rules)
        if opened is None:
            opened = yield from _semantic(ticket, rules, trouble)
        if opened.entry is not None:
            yield Settle(ticket.flight, opened.entry)
    except BaseException:  # also GeneratorExit: this leader was cancelled
        ticket.flight.abandon()
        raise
    return opened


def _landed(ticket: Ticket, rules: Rules) -> Plan[Opened | None]:
    """Look into the local copy again: another leader may have landed since we looked."""
    if ticket.control.refresh:
        return None
    data = yield GetLocal(ticket.key)
    entry = _usable(data, ticket.hashed, rules) if data is not None else None
    return _hit("hit_local", entry, rules) if entry is not None else None


def _semantic(ticket: Ticket, rules: Rules, trouble: str) -> Plan[Opened]:
    """Look for an entry that answers the same question in the same scope."""
    if trouble and trouble != UNREADABLE:
        return _miss(msgspec.structs.replace(ticket, trouble=True), trouble)
    refresh = "refresh" if ticket.control.refresh else ""
    if not rules.semantic:
        return _miss(ticket, refresh or trouble or "no_entry")
    split = _question(ticket.request, rules)
    if isinstance(split, NoQuestion):
        return _miss(ticket, refresh or split.reason)
    scope = scope_hash(
        ticket.request, ticket.digest, ticket.control, split.index, split.start, split.end
    )
    try:
        vector = yield Embed(split.question)
        ticket = msgspec.structs.replace(
            ticket, scope=scope, question=split.question, vector=vector
        )
        if refresh:
            return _miss(ticket, refresh)
        found: list[tuple[bytes, float]] = yield Nearest(scope, vector, rules.cache.neighbours)
    except Trouble as exc:
        slow = exc.reason.startswith("redis_")  # then do not spend time on storing either
        return _miss(msgspec.structs.replace(ticket, trouble=slow), exc.reason)
    candidates = []
    for data, similarity in found:
        entry = _usable(data, None, rules)
        if entry is not None and entry.scope == scope:
            candidates.append(Candidate(entry, similarity, entry.question))
    verdict = choose(split.question, candidates, similarity=rules.cache.similarity)
    if verdict.candidate is None:
        return _miss(ticket, verdict.reason)
    entry = verdict.candidate.entry
    alias = codec.encode(msgspec.structs.replace(entry, key=ticket.hashed))
    yield KeepLocal(ticket.key, alias, (entry.expires_ms - rules.now_ms()) / 1000)
    return _hit("hit_semantic", entry, rules, verdict.candidate.similarity)


def _question(request: Request, rules: Rules) -> Split | NoQuestion:
    """Find the question, unless something keeps the request out of the semantic tier."""
    if reason := _no_semantic_tier(request):
        return NoQuestion(reason)
    split = find_question(request.messages, rules.cache.extractor)
    if isinstance(split, Split) and not fits_window(
        split.question, rules.cache.max_question_tokens
    ):
        return NoQuestion("question_too_long")
    return split


def close_plan(ticket: Ticket, answers: tuple[Answer, ...], rules: Rules) -> Plan[str]:
    """Keep the answers of the model; return why they were not stored, or an empty text."""
    request, control = ticket.request, ticket.control
    ttl = rules.cache.ttl if control.ttl is None else control.ttl
    ttl_ms = max(1, round(1000 * ttl * (1 - rules.cache.ttl_jitter * rules.random())))
    now = rules.now_ms()
    tools = any(answer.tool_calls for answer in answers)
    semantic = ticket.vector is not None and not tools
    entry = Entry(
        key=ticket.hashed,
        answers=answers,
        created_ms=now,
        expires_ms=now + ttl_ms,
        model=request.model,
        digest=ticket.digest,
        scope=ticket.scope if semantic else "",
        question=ticket.question if semantic and rules.cache.store_prompts else None,
        tags=control.tags,
        docs=control.docs,
    )
    reason = not_storable(request, answers)
    data = b""
    if not reason:
        try:
            data = codec.encode(entry)
        except ValueError:
            reason = "unencodable_answer"
    if not reason:
        yield KeepLocal(ticket.key, data, ttl_ms / 1000)
    if ticket.flight is not None:
        yield Settle(ticket.flight, None if not_shareable(request, answers) else entry)
    if reason or ticket.trouble:
        return reason
    record = None
    if semantic and ticket.question is not None and ticket.vector is not None:
        record = SemanticRecord(
            entry_id=ticket.hashed,
            scope=ticket.scope,
            question=ticket.question,
            vector=ticket.vector,
            tenant=tenant_tag(control),
            model=request.model,
            tags=control.tags,
            docs=control.docs,
            created_ms=now,
        )
    try:
        yield Put(ticket.key, data, ttl_ms, record)
    except Trouble as exc:
        return exc.reason
    return ""


def _usable(data: bytes, hashed: str | None, rules: Rules) -> Entry | None:
    """Decode a value; None when it is foreign, of another request, or past its time."""
    entry = codec.decode(data)
    if entry is None or (hashed is not None and entry.key != hashed):
        return None
    return entry if entry.expires_ms > rules.now_ms() else None


def _no_semantic_tier(request: Request) -> str:
    if request.exact_only:
        return request.exact_only
    if request.params.get("tools"):
        return "tools_bound"
    for message in request.messages:
        if message.get("role") == "tool" or message.get("tool_calls"):
            return "tool_message"
        if message.get("images"):
            return "images"
    return ""


def _hit(outcome: Any, entry: Entry, rules: Rules, similarity: float | None = None) -> Opened:
    tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in entry.answers)
    age = max(0, rules.now_ms() - entry.created_ms) / 1000
    origin = Origin(
        outcome,
        similarity=similarity,
        age_s=age,
        entry_id=entry.key,
        matched_question=entry.question,
        saved_tokens=tokens,
    )
    return Opened(origin, entry=entry)


def _miss(ticket: Ticket, reason: str) -> Opened:
    return Opened(Origin("miss", reason), ticket=ticket)


def _bypass(reason: str) -> Opened:
    return Opened(Origin("bypass", reason))
