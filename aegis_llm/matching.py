"""Choosing the stored question whose answer may be served: near enough, and no veto."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan

import msgspec

from aegis_llm.gates import gate, same_text, veto
from aegis_llm.gates.facts import Facts
from aegis_llm.values import Candidate

__all__ = ["Verdict", "choose", "gate"]


class Verdict(msgspec.Struct, frozen=True):
    """The accepted candidate, or none and the reason why the nearest one was refused.

    `reason` is "" on acceptance, else "no_candidate", "below_threshold", "no_question_text" or
    the name of a veto ("veto_numbers", ...).
    """

    candidate: Candidate | None
    reason: str


def choose(question: str, candidates: Sequence[Candidate], *, similarity: float) -> Verdict:
    """Return the nearest candidate of at least this similarity that no gate refuses.

    The order of the candidates does not matter. A candidate without the text of its question is
    refused, since no gate can look at it.
    """
    reason = "no_candidate"
    asked: Facts | None = None
    for candidate in sorted(candidates, key=_nearness, reverse=True):
        refused: str | None
        if not candidate.similarity >= similarity:
            refused = "below_threshold"
        elif candidate.question is None:
            refused = "no_question_text"
        elif same_text(question, candidate.question):
            refused = None
        else:
            asked = asked or Facts(question)
            refused = veto(asked, Facts(candidate.question))
        if refused is None:
            return Verdict(candidate, "")
        if reason == "no_candidate":
            reason = refused
    return Verdict(None, reason)


def _nearness(candidate: Candidate) -> tuple[float, str]:
    near = candidate.similarity
    return (-inf if isnan(near) else near), candidate.entry.key
