"""Explanations driven by hand, and a matcher that leaves much to the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.explanation import Explanation
from aegis_llm.learning.learned import Learned
from aegis_llm.learning.pairs import Finding, PairVerdict
from aegis_llm.matching import Decision, Verdict
from aegis_llm.values import Candidate, Control, Request
from tests.unit.planning import (
    QUESTION,
    Hand,
    ask,
    entry_for,
    rules,
    scope_of,
)

REWORDED = "How should I water a cactus?"
OTHER = "How do I water 7 cacti?"
CHANGES = {"KeepLocal", "DropLocal", "Drop", "Join", "Judge", "Settle", "Put", "Nearest"}
GATES: dict[str, Any] = {"similarity": 0.92}
"""Settings by which the gates decide alone, whatever the weights of the score."""
STORED = codec.encode(entry_for(ask()))


def explained(
    hand: Hand,
    request: Request | None = None,
    control: Control | None = None,
    elsewhere: int = 0,
    all_tenants: bool = False,
    made: p.Rules | None = None,
    **given: Any,
) -> Explanation:
    """Drive `explain_plan` with this hand; what it finds near is what `Nearest` would find."""
    hand.replies.setdefault("Survey", hand.replies["Nearest"])
    plan = p.explain_plan(
        request or ask(),
        control or Control(),
        made or rules(**(GATES | given)),
        elsewhere,
        all_tenants=all_tenants,
    )
    result: Explanation = hand.drive(plan)
    assert CHANGES.isdisjoint(hand.names)
    return result


class Doubtful:
    """A matcher with a score of 0.9 for 0.95: vetoes numbers, accepts what it is told to."""

    scores = True

    def __init__(self, accept: str = "") -> None:
        self._accept = accept

    def decide(self, asked: str, cached: str, similarity: float) -> Decision:
        if any(map(str.isdigit, cached)):
            vetoes = ("veto_numbers", "veto_words")
            return Decision(False, "veto_numbers", vetoes=vetoes, threshold=0.95)
        if cached == self._accept:
            return Decision(True, score=0.99, threshold=0.95)
        return Decision(False, "below_score", score=0.9, threshold=0.95, grey=True)

    def choose(self, asked: str, candidates: Sequence[Candidate]) -> Verdict:
        known = [one for one in candidates if one.question is not None]
        decided = [(one, self.decide(asked, one.question or "", 0.9)) for one in known]
        accepted = next((one for one, decision in decided if decision.accept), None)
        if accepted is not None or not decided:
            return Verdict(accepted, "" if decided else "no_candidate")
        grey = next((one for one, decision in decided if decision.grey), None)
        return Verdict(None, decided[0][1].reason, decided[0][1], grey)


def note(learned: Learned, cached: str, verdict: PairVerdict) -> None:
    """Note what was found out about a question and that of `ask()`, in its scope."""
    finding: Finding = "approved" if verdict == "same" else "refused"
    learned.pairs.add(learned.name_of(QUESTION, cached, scope_of(ask()), finding), finding)


def doubtful(
    accept: str = "", pairs: Mapping[str, PairVerdict] = MappingProxyType({}), **cache: Any
) -> p.Rules:
    """Rules by which the judge may decide, and what was learnt about the question."""
    learned = Learned()
    for cached, verdict in pairs.items():
        note(learned, cached, verdict)
    matcher: Any = Doubtful(accept)
    return msgspec.structs.replace(rules(**cache), matcher=matcher, learned=learned)
