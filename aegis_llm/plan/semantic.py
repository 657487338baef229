"""The semantic tier's part of a look-up: find the question, the nearest entries, and decide."""

from __future__ import annotations

import msgspec

from aegis_llm.context import Context, chunks_of, common_share, without_chunks
from aegis_llm.errors import Trouble
from aegis_llm.keys import scope_hash
from aegis_llm.plan.asking import Asked, question_of, scoped
from aegis_llm.plan.deciding import decide
from aegis_llm.plan.effects import (
    CONTEXT_DIFFERS,
    INVALIDATED,
    UNREADABLE,
    Embed,
    Nearest,
    Opened,
    Plan,
    Rules,
    Ticket,
)
from aegis_llm.plan.ends import miss_of, usable
from aegis_llm.questions import NoQuestion, Split
from aegis_llm.values import Candidate, Request


def semantic_part(ticket: Ticket, found: Asked, rules: Rules, trouble: str) -> Plan[Opened]:
    """Look for an entry that answers the same question in the same scope."""
    if trouble and trouble != UNREADABLE:
        return miss_of(msgspec.structs.replace(ticket, trouble=True), trouble)
    refresh = "refresh" if ticket.control.refresh else ""
    if not rules.semantic:
        return miss_of(ticket, refresh or trouble or "no_entry")
    split = question_of(ticket.request, found, rules)
    if isinstance(split, NoQuestion):
        return miss_of(ticket, refresh or split.reason)
    narrowed = scoped(ticket.request, split, rules)
    scope, cut = _scope(ticket, *narrowed, rules)
    # What was answered after other turns is kept for the same turns alone: they may have coloured
    # it. So a question that stands alone finds only what was asked alone.
    own = scope
    if narrowed[0] is not ticket.request:
        own, _ = _scope(ticket, ticket.request, split, rules)
    try:
        vector = yield Embed(split.question)
        ticket = msgspec.structs.replace(ticket, scope=own, question=split.question, vector=vector)
        if refresh:
            return miss_of(ticket, refresh)
        stored: list[tuple[bytes, float]] = yield Nearest(scope, vector, rules.cache.neighbours)
    except Trouble as exc:
        slow = exc.reason.startswith("redis_")  # then do not spend time on storing either
        return miss_of(msgspec.structs.replace(ticket, trouble=slow), exc.reason)
    if rules.state().version != ticket.state.version:
        return miss_of(ticket, INVALIDATED)
    near = near_of(ticket.request, scope, stored, rules, cut=cut)
    candidates = [candidate for candidate, comparable in near if comparable]
    if near and not candidates:
        return miss_of(ticket, CONTEXT_DIFFERS)
    return (yield from decide(ticket, candidates, rules))


def near_of(
    request: Request, scope: str, stored: list[tuple[bytes, float]], rules: Rules, *, cut: bool
) -> list[tuple[Candidate, bool]]:
    """Return the living entries of the scope, and whether the context of each may be compared.

    With `cut`, they may have been made from other chunks.
    """
    least = rules.cache.least_overlap if cut else None
    asked = () if least is None else chunks_of(request.documents)
    near = []
    for data, similarity in stored:
        entry = usable(data, None, rules)
        if entry is not None and entry.scope == scope:
            comparable = least is None or common_share(asked, entry.chunks) >= least
            near.append((Candidate(entry, similarity, entry.question), comparable))
    return near


def context_of(request: Request, split: Split, rules: Rules) -> Context | None:
    """Return the request without the retrieved chunks that its scope leaves out; None: none."""
    return without_chunks(request, split, rules.cache.context) if request.documents else None


def _scope(ticket: Ticket, request: Request, split: Split, rules: Rules) -> tuple[str, bool]:
    """Return the scope, and whether the retrieved chunks were cut out of it."""
    cut: tuple[bytes, ...] = ()
    start, end = split.start, split.end
    if context := context_of(request, split, rules):
        request, start, end, cut = context.request, context.start, context.end, context.cut
    scope = scope_hash(
        request, ticket.digest, ticket.control, split.index, start, end, ticket.edition, cut
    )
    return scope, bool(cut)
