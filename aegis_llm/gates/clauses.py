"""Which clause a negation stands in, what a condition is about, and what "who" is. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from aegis_llm.gates.forms import Words, inflected
from aegis_llm.gates.words import ROLES, split

_CONDITIONS: Final = frozenset(split("if when while unless because although"))
_NEW_CLAUSE: Final = re.compile(
    r"\b(?:if|when|while|unless|because|although)\b"
    r"|\b(?:and|or|but) (?=(?:i|you|he|she|it|we|they"
    r"|do|does|did|have|has|had|is|are|was|were|will|would|can|could|should)(?:n't)?\b)"
)
_COMMA: Final = re.compile(r"[,;]")
_NOT: Final = re.compile(r"n't\b|\bnot\b|\bcannot\b|\bnever\b")
_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_WHOM: Final = re.compile(
    r"\bwhom?\b(?: (?:do|does|did|can|could|should|will|have|has|had|am|is|are|was|were))?"
    r" (?:i|we|he|she|they)\b"
)
_WHO: Final = re.compile(
    r"\bwho (?!(?:i|we|he|she|they)\b)(?:[a-z']+ ){1,2}(?:me|us|him|her|them)\b"
)
_NOTHING: Final[frozenset[str]] = frozenset()


def negated_elsewhere(a: str, b: str) -> bool:
    """Tell whether each text negates one clause, and not the same: "I don't pay and they sue"."""
    one, other = _negated(a), _negated(b)
    if not one or not other:
        return False
    return not any(word == form or inflected(word, form) for word in one for form in other)


def who_exchanged(a: str, b: str) -> bool:
    """Tell whether "who" acts in one and is acted upon in the other: "who I blocked"."""
    return (_who(a), _who(b)) in (("acts", "suffers"), ("suffers", "acts"))


def conditions_exchanged(a: Words, b: Words) -> bool:
    """Tell whether what is the condition in one is what follows in the other."""
    one, other = _condition(a), _condition(b)
    return bool(one and other) and one.isdisjoint(other)


@lru_cache(maxsize=1024)
def _negated(text: str) -> frozenset[str]:
    """Return the content words of the one negated clause of several, else none."""
    lowered = text.lower().replace("\u2019", "'")
    clauses = _NEW_CLAUSE.split(lowered)
    if len(clauses) == 1:
        return _NOTHING
    clauses = [part for clause in clauses for part in _COMMA.split(clause)]
    negated = [clause for clause in clauses if _NOT.search(clause)]
    if len(negated) != 1:
        return _NOTHING
    return frozenset(
        word for word in _WORD.findall(negated[0]) if word not in ROLES and "n't" not in word
    )


@lru_cache(maxsize=1024)
def _who(text: str) -> str:
    lowered = text.lower()
    acts, suffers = _WHO.search(lowered), _WHOM.search(lowered)
    if bool(acts) == bool(suffers):
        return ""
    return "acts" if acts else "suffers"


def _condition(words: Words) -> set[str]:
    """Return the words of the clauses that a conjunction opens."""
    found: set[str] = set()
    inside = False
    for word, head in zip(*words, strict=True):
        if head in _CONDITIONS:
            inside = True
        elif head in (",", "&"):
            inside = False
        if inside:
            found.add(word)
    return found
