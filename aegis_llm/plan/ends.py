"""How a look-up ends: with an entry, or without one and a reason."""

from __future__ import annotations

from typing import Any

from aegis_llm import codec
from aegis_llm.names import names_of
from aegis_llm.plan.effects import KeepLocal, Match, Opened, Rules, State, Ticket
from aegis_llm.values import Entry, Origin


def usable(data: bytes, hashed: str | None, rules: Rules) -> Entry | None:
    """Decode a value; None when it is foreign, of another request, or past its time."""
    entry = codec.decode(data)
    if entry is None or (hashed is not None and entry.key != hashed):
        return None
    return entry if entry.expires_ms > rules.now_ms() else None


def keep_local(key: str, data: bytes, entry: Entry, rules: Rules, state: State) -> KeepLocal:
    """Return the effect that keeps an entry here as long as it lives, unless it was invalidated.

    `state` is what was known before the entry was read.
    """
    ttl_s = (entry.expires_ms - rules.now_ms()) / 1000
    if not entry.documents and not entry.tags:
        return KeepLocal(key, data, ttl_s)
    return KeepLocal(key, data, ttl_s, names_of(entry.documents, entry.tags), state.events)


def hit_of(outcome: Any, entry: Entry, rules: Rules, similarity: float | None = None) -> Opened:
    """End with this entry."""
    tokens = sum(answer.prompt_tokens + answer.completion_tokens for answer in entry.answers)
    seconds = sum(answer.duration_ms for answer in entry.answers) / 1000
    age = max(0, rules.now_ms() - entry.created_ms) / 1000
    origin = Origin(
        outcome,
        similarity=similarity,
        age_s=age,
        entry_id=entry.alias_of or entry.key,
        matched_question=entry.question,
        saved_tokens=tokens,
        saved_s=seconds,
    )
    return Opened(origin, entry=entry)


def miss_of(ticket: Ticket, reason: str, match: Match | None = None) -> Opened:
    """End without an answer; what the model says can be stored."""
    return Opened(Origin("miss", reason), ticket=ticket, match=match)


def bypass_of(reason: str) -> Opened:
    """End without an answer, and leave the cache out of it."""
    return Opened(Origin("bypass", reason))
