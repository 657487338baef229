"""Which requests may be answered by the answer to another one.

A question is looked up word by word first; a rule's patterns run only where one of its words
stands. Only randomness is skipped: an exact repeat of anything else is what the user asked for,
and what he asked for is a function of the request (a replayed tool call runs its tool anew).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set

from aegis_llm.matching import asides, moments, requests
from aegis_llm.matching.hints import hints
from aegis_llm.values import Route, RouteKind

_REUSE = Route("reuse")
_WORD = re.compile(r"\w+")
_LONGEST = 4_000
_Rule = tuple[frozenset[str], Callable[[str, Set[str]], bool], Route]

_RULES: tuple[_Rule, ...] = (
    (requests.RANDOM_WORDS, requests.is_random, Route("skip", "route_random")),
    (requests.CODE_WORDS, requests.is_code, Route("exact_only", "route_code")),
    (requests.TEXT_WORDS, requests.is_text, Route("exact_only", "route_text")),
    (requests.ACTION_WORDS, requests.is_action, Route("exact_only", "route_action")),
    (requests.CREATIVE_WORDS, requests.is_creative, Route("exact_only", "route_creative")),
    (asides.PERSONAL_WORDS, asides.is_personal, Route("exact_only", "route_personal")),
    (moments.WORDS, moments.is_about_now, Route("exact_only", "route_now")),
    (asides.FOLLOW_UP_WORDS, asides.is_follow_up, Route("exact_only", "route_follow_up")),
)
_FENCED = Route("exact_only", "route_code")
_SHORT = Route("exact_only", "route_follow_up")
_WATCHED = frozenset().union(*(watched for watched, _, _ in _RULES))


def route(question: str) -> Route:
    """Return how far the answer to a question may be reused; never raises.

    English, German and French are understood; in other languages every question is `reuse`. Of a
    text over 4,000 characters the first and the last 2,000 are looked at.
    """
    if len(question) > _LONGEST:
        if "```" in question:
            return _FENCED
        half = _LONGEST // 2
        question = f"{question[:half]}\n{question[-half:]}"
    lowered = question.lower()
    found = _WORD.findall(lowered)
    seen = _WATCHED.intersection(found)
    if seen:
        text = lowered.replace("\u2019", "'").strip() if "\u2019" in lowered else lowered.strip()
        for watched, holds, outcome in _RULES:
            if not seen.isdisjoint(watched) and holds(text, seen):
                return outcome
    if (hint := hints(lowered)) is not None:
        return hint
    if "`" in question and ("```" in question or "~~~" in question):
        return _FENCED
    if len(found) <= asides.FEW and asides.is_fragment(lowered):
        return _SHORT
    return _REUSE


__all__ = ["Route", "RouteKind", "route"]
