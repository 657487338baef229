"""Keeping what the model answered."""

from __future__ import annotations

from aegis_llm import codec
from aegis_llm.context import chunks_of
from aegis_llm.errors import Trouble
from aegis_llm.keys import tenant_tag
from aegis_llm.names import names_of, readable
from aegis_llm.plan.effects import (
    INVALIDATED,
    DropLocal,
    KeepLocal,
    Plan,
    Put,
    Rules,
    SemanticRecord,
    Settle,
    Ticket,
)
from aegis_llm.storable import not_shareable, not_storable
from aegis_llm.values import Answer, Document, Entry


def close_plan(
    ticket: Ticket,
    answers: tuple[Answer, ...],
    rules: Rules,
    documents: tuple[Document, ...] = (),
) -> Plan[str]:
    """Keep the answers of the model; return why they were not stored, or an empty text.

    `documents` came to light only while the answer was made, beside those of the request.
    """
    request, control = ticket.request, ticket.control
    documents = (*request.documents, *documents)
    ids = dict.fromkeys([*(document.id for document in documents), *control.documents])
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
        documents=tuple(readable(id_) for id_ in ids if id_),
        chunks=chunks_of(documents) if documents else (),
    )
    names = names_of(entry.documents, entry.tags)
    reason = not_storable(request, answers)
    data = b""
    if not reason:
        try:
            data = codec.encode(entry)
        except ValueError:
            reason = "unencodable_answer"
    current = rules.state().version == ticket.state.version
    untold = ticket.trouble and not ticket.state.version  # asked before the first contact
    if not reason and not current and not untold:
        reason = INVALIDATED
    if not reason and current:
        events = ticket.state.events if names else 0
        kept = yield KeepLocal(ticket.key, data, ttl_ms / 1000, names, events)
        reason = INVALIDATED if kept is False else ""
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
            documents=entry.documents,
            created_ms=now,
        )
    try:
        sequence = ticket.state.sequence if names else 0
        yield Put(ticket.key, data, ttl_ms, record, names, sequence)
    except Trouble as exc:
        if exc.reason == INVALIDATED:
            yield DropLocal(ticket.key)
        return exc.reason
    return ""
