"""What becomes of the candidates: served, judged, only noted in shadow mode, or refused."""

from __future__ import annotations

import msgspec

from aegis_llm import codec
from aegis_llm.errors import Trouble
from aegis_llm.learning.pairs import PairVerdict
from aegis_llm.plan.effects import (
    Judge,
    Match,
    MatchKind,
    Opened,
    Plan,
    Recall,
    Rules,
    Ticket,
)
from aegis_llm.plan.ends import hit_of, keep_local, miss_of
from aegis_llm.values import Candidate, Origin


def decide(ticket: Ticket, candidates: list[Candidate], rules: Rules) -> Plan[Opened]:
    """End with the entry of a candidate whose question asks the same, or without one.

    What was refused before is refused again. What was approved before, in this scope, is served
    where the matcher leaves it open; a veto of the matcher stands, whoever approved.
    """
    asked = ticket.question or ""
    if candidates:
        try:
            yield Recall()
        except Trouble as exc:
            slow = exc.reason.startswith("redis_")
            return miss_of(msgspec.structs.replace(ticket, trouble=slow), exc.reason)
    kept, approved, reason = _sorted_out(asked, candidates, rules)
    verdict = rules.matcher.choose(asked, kept)
    chosen = verdict.candidate
    if chosen is None and approved:
        chosen = rules.matcher.choose(asked, approved).grey
    reason = reason or verdict.reason
    silent = "shadow_hit" if rules.cache.shadow else "drift" if rules.learned.drift else ""
    grey = verdict.grey
    if (
        chosen is None
        and grey is not None
        and rules.cache.judge != "off"
        and ticket.request.server
    ):
        if silent or rules.cache.judge == "background":
            return miss_of(ticket, reason, _match("grey", ticket, grey))
        try:
            same = yield Judge(ticket.request, asked, grey.question or "", grey.entry.scope)
        except Trouble as exc:
            return miss_of(ticket, exc.reason)
        if not same:
            return miss_of(ticket, "judge_refused")
        chosen = grey
    if chosen is None:
        return miss_of(ticket, reason)
    entry = chosen.entry
    if silent:
        origin = Origin(
            "miss",
            silent,
            similarity=chosen.similarity,
            entry_id=entry.key,
            matched_question=chosen.question,
        )
        return Opened(origin, ticket=ticket, match=_match("shadow", ticket, chosen))
    alias = codec.encode(msgspec.structs.replace(entry, key=ticket.hashed, alias_of=entry.key))
    yield keep_local(ticket.key, alias, entry, rules, ticket.state)
    opened = hit_of("hit_semantic", entry, rules, chosen.similarity)
    return msgspec.structs.replace(opened, match=_match("served", ticket, chosen))


def _sorted_out(
    asked: str, candidates: list[Candidate], rules: Rules
) -> tuple[list[Candidate], list[Candidate], str]:
    """Return who is left, who of them was approved, and why the nearest of all is out, if it is.

    The candidates come nearest first.
    """
    kept: list[Candidate] = []
    approved: list[Candidate] = []
    reason = ""
    for candidate in candidates:
        verdict, why_not = known_of(asked, candidate, rules)
        if why_not:
            reason = reason or ("" if kept else why_not)
            continue
        kept.append(candidate)
        if verdict == "same":
            approved.append(candidate)
    return kept, approved, reason


def known_of(asked: str, candidate: Candidate, rules: Rules) -> tuple[PairVerdict | None, str]:
    """Return the verdict about a candidate's question, and why it is never served for this one."""
    verdict = rules.learned.verdict(asked, candidate.question or "", candidate.entry.scope)
    if verdict == "different":
        return verdict, "pair_refused"
    distrusted = rules.learned.distrusts(candidate.entry.key)
    return verdict, "entry_distrusted" if distrusted else ""


def _match(kind: MatchKind, ticket: Ticket, candidate: Candidate) -> Match:
    return Match(
        kind,
        ticket.question or "",
        candidate.question or "",
        candidate.entry,
        candidate.similarity,
        ticket.key,
    )
