"""Looking for an answer: local copy, exact tier, single-flight, then the semantic tier."""

from __future__ import annotations

import msgspec

from aegis_llm.errors import NotCachedError, Trouble
from aegis_llm.keys import UncacheableError, edition_of, exact_key, query_hash
from aegis_llm.plan.asking import Asked, asked
from aegis_llm.plan.effects import (
    UNREADABLE,
    Digest,
    Drop,
    GetExact,
    GetLocal,
    Join,
    Opened,
    Plan,
    Rules,
    Seat,
    Settle,
    State,
    Ticket,
)
from aegis_llm.plan.ends import bypass_of, hit_of, keep_local, usable
from aegis_llm.plan.semantic import semantic_part
from aegis_llm.values import Control, Origin, Request


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
        return bypass_of("asked")
    digest = yield from _digest(request)
    if digest is None:
        return bypass_of("model_unknown")
    looked = yield from _look(request, control, digest, rules)
    if isinstance(looked, Opened):
        return looked
    ticket, trouble = looked
    found = asked(request, rules)
    if found.route.kind == "skip":
        return bypass_of(found.route.reason)
    if control.only_if_cached:
        return (yield from semantic_part(ticket, found, rules, trouble))
    return (yield from _joined(ticket, found, rules, trouble, stream))


def _joined(ticket: Ticket, found: Asked, rules: Rules, trouble: str, stream: str) -> Plan[Opened]:
    """Go on together with identical requests that are under way."""
    seat: Seat = yield Join(_flight(ticket, stream))
    if seat.entry is not None:
        return hit_of("coalesced", seat.entry, rules)
    if seat.stream is not None:
        return Opened(Origin("coalesced"), stream=seat.stream)
    if seat.flight is None:
        return (yield from semantic_part(ticket, found, rules, trouble))
    ticket = msgspec.structs.replace(ticket, flight=seat.flight)
    return (yield from _lead(ticket, found, rules, trouble))


def _digest(request: Request) -> Plan[str | None]:
    """Return the digest of the model, or of all that a named chain uses; None when unknown."""
    if request.identity is None:
        found: str | None = yield Digest(request)
        return found
    digests = []
    for server, model in request.uses:
        one: str | None = yield Digest(
            msgspec.structs.replace(request, server=server, model=model)
        )
        if one is None:
            return None
        digests.append(one)
    return ",".join(digests)


def _look(
    request: Request, control: Control, digest: str, rules: Rules
) -> Plan[Opened | tuple[Ticket, str]]:
    """Look for this very request; return a ticket, and what was in the way, when it is not there.

    A look-up that makes the first contact learns the version of the namespace by it, and then
    looks again; so does one during which everything was invalidated.
    """
    corpus = control.corpus_version or rules.cache.corpus_version
    hit, trouble, state = None, "", rules.state()
    while True:
        try:
            edition = edition_of(corpus, state.version)
            hashed = query_hash(request, digest, control, edition)
        except UncacheableError as exc:
            return bypass_of(exc.reason)
        key = exact_key(rules.cache.namespace, hashed, request)
        if not control.refresh:
            data = yield GetLocal(key)
            if data is not None and (entry := usable(data, hashed, rules)):
                return hit_of("hit_local", entry, rules)
            hit, trouble = yield from _exact(key, hashed, rules, state)
        elif not state.version:  # unknown before the first contact, and part of the key
            _, trouble = yield from _exact(key, hashed, rules, state)
        before, state = state, rules.state()
        if state.version == before.version:
            break
    state = _since(request, control, rules, state)
    ticket = Ticket(request, control, digest, hashed, key, edition=edition, state=state)
    return (ticket, trouble) if hit is None else hit


def _since(request: Request, control: Control, rules: Rules, state: State) -> State:
    """Return what was known when the documents began to be read, which may be long ago.

    They may have been invalidated before the model is called with them.
    """
    moments = [moment for moment in (request.since, control.since) if moment is not None]
    if not moments:
        return state
    past = rules.state_at(min(moments))
    version = past.version or state.version  # unknown before the first contact
    return State(version, min(past.sequence, state.sequence), min(past.events, state.events))


def _flight(ticket: Ticket, stream: str) -> str:
    """Return the key of the flight that the request may join.

    A refresh must not end with the old entry that another's flight may find, and nobody with an
    answer that was asked for before an invalidation.
    """
    state = ticket.state
    since = f"@{state.sequence}.{state.events}" if state.sequence or state.events else ""
    return f"{ticket.hashed}{stream}{'!' if ticket.control.refresh else ''}{since}"


def _exact(key: str, hashed: str, rules: Rules, state: State) -> Plan[tuple[Opened | None, str]]:
    """Look into the exact tier; return the hit, or what was in the way."""
    try:
        data = yield GetExact(key)
        if data is None:
            return None, ""
        if entry := usable(data, hashed, rules):
            yield keep_local(key, data, entry, rules, state)
            return hit_of("hit_exact", entry, rules), ""
        yield Drop(key)
    except Trouble as exc:
        return None, exc.reason
    return None, UNREADABLE


def _lead(ticket: Ticket, found: Asked, rules: Rules, trouble: str) -> Plan[Opened]:
    """Go on as the leader of a flight, which hears of a hit, or gets another leader."""
    try:
        opened = yield from _landed(ticket, rules)
        if opened is None:
            opened = yield from semantic_part(ticket, found, rules, trouble)
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
    entry = usable(data, ticket.hashed, rules) if data is not None else None
    return hit_of("hit_local", entry, rules) if entry is not None else None
