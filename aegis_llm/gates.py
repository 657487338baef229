"""Vetoes: reasons why two questions that look alike must not share an answer.

Each gate compares facts that a reader can check: numbers, names, negations, roles. A text that no
gate understands (another script, code) passes only when its words are the same in the same order.
"""

from __future__ import annotations

from typing import Final

from aegis_llm.gates_facts import Facts
from aegis_llm.gates_forms import aligned
from aegis_llm.gates_order import in_active_voice, misplaced, passive_verb
from aegis_llm.gates_words import (
    FUTURE,
    OPPOSITES,
    PAST,
    PRESENT,
    split,
)

_ALWAYS_TOLD: Final = frozenset({"only", "most"})
_VAGUE: Final = frozenset({"some", "many"})
_MINE: Final = frozenset(split("i me my mine we us our ours myself"))
_YOURS: Final = frozenset(split("you your yours yourself"))
_GENERAL: Final = frozenset(split("can do should would could"))
_OPEN_KINDS: Final = ({"what"}, {"how"})
_TIMES: Final = ({"whattime"}, {"when"})
_VOICES: Final = ({"whether be"}, {"whether do"})


def gate(a: str, b: str) -> str | None:
    """Return the name of the first veto, or None when the two questions may share an answer."""
    if same_text(a, b):
        return None
    return veto(Facts(a), Facts(b))


def same_text(a: str, b: str) -> bool:
    """Tell whether two texts differ in white space, end marks and first capital at most."""
    return a == b or _bare(a) == _bare(b)


def _bare(text: str) -> str:
    text = " ".join(text.split()).rstrip("?!. ")
    return text[:1].lower() + text[1:]


def veto(a: Facts, b: Facts) -> str | None:
    """Return the name of the first veto between two texts that were read."""
    if a.scripts != b.scripts:
        return "veto_language"
    if a.symbols != b.symbols:
        return "veto_code"
    if sorted(a.literals) != sorted(b.literals):
        return "veto_literals"
    if a.quotes and b.quotes and a.quotes != b.quotes:
        return "veto_literals"
    if a.numbers != b.numbers and sorted(a.numbers) != sorted(b.numbers):
        alike = sorted(n for n, _ in a.numbers) == sorted(n for n, _ in b.numbers)
        return "veto_units" if alike else "veto_numbers"
    if sorted(n for n, _ in a.negations) != sorted(n for n, _ in b.negations):
        return "veto_negation"
    if a.said != b.said:
        found = _function_words(a, b)
        if found is not None:
            return found
    verbs = (-1, -1) if a.said == b.said else (passive_verb(a, b), passive_verb(b, a))
    if a.kinds != b.kinds and not _same_kind(a, b, voices=verbs != (-1, -1)):
        return "veto_question_kind"
    return _content(a, b, verbs)


def _function_words(a: Facts, b: Facts) -> str | None:
    """Compare what the small words say: contraries, amounts, time, persons."""
    only_b = b.said - a.said
    for word in a.said - b.said:
        if word in OPPOSITES and not OPPOSITES[word].isdisjoint(only_b):
            return "veto_opposites"
    if a.quantifiers != b.quantifiers and _other_amount(a.quantifiers, b.quantifiers):
        return "veto_quantifiers"
    if _other_time(a, b) or _other_time(b, a):
        return "veto_tense"
    if a.people != b.people and a.people and b.people:
        return "veto_persons"
    return "veto_persons" if _turned(a, b) or _turned(b, a) else None


def _other_amount(a: set[str], b: set[str]) -> bool:
    if not _ALWAYS_TOLD.isdisjoint(a ^ b):
        return True
    return ("all" in a and not _VAGUE.isdisjoint(b)) or ("all" in b and not _VAGUE.isdisjoint(a))


def _other_time(a: Facts, b: Facts) -> bool:
    """Tell whether `b` asks about the past, and `a` about the present or the future."""
    if PAST.isdisjoint(b.said):
        return False
    if PAST.isdisjoint(a.said) and not PRESENT.isdisjoint(a.said):
        return True
    return not FUTURE.isdisjoint(a.said) and FUTURE.isdisjoint(b.said)


def _turned(a: Facts, b: Facts) -> bool:
    """Tell whether `a` is about the asker and `b` about the one who is asked."""
    if _MINE.isdisjoint(a.said) or _YOURS.isdisjoint(b.said):
        return False
    if not _YOURS.isdisjoint(a.said) or not _MINE.isdisjoint(b.said):
        return False
    return a.kinds[:1] != ["how"] or _GENERAL.isdisjoint(a.said)


def _same_kind(a: Facts, b: Facts, *, voices: bool) -> bool:
    """Tell whether two kinds of question ask for one answer; `voices` if one is passive."""
    one, other = sorted((_kind(a), _kind(b)), key=sorted)
    if one == other or (not one and other in _OPEN_KINDS) or (one, other) == _TIMES:
        return True
    return voices and (one, other) == _VOICES


def _kind(facts: Facts) -> set[str]:
    """Return the kinds asked for, each under its plainest name."""
    kind = set(facts.kinds)
    if "howmuch" in kind and "cost" in facts.words:
        kind = kind - {"howmuch"} | {"what"}
    if "how" in kind and "differ" in facts.words:
        kind = kind - {"how"} | {"what"}
    return kind


def _content(a: Facts, b: Facts, verbs: tuple[int, int]) -> str | None:
    """Compare the content words, then what governs them, then their order."""
    one, other = (a.words, a.heads), (b.words, b.heads)
    if a.words != b.words:
        found = aligned(one, other)
        if isinstance(found, list):
            named = not a.names.isdisjoint(found) or not b.names.isdisjoint(found)
            return "veto_names" if named else "veto_words"
        one, other = found
    if a.negations and _scope(a, one[0]) != _scope(b, other[0]) and not _contracted(a, b):
        return "veto_negation"
    if verbs[0] >= 0:
        one = in_active_voice(one, verbs[0])
    if verbs[1] >= 0:
        other = in_active_voice(other, verbs[1])
    return None if one == other else misplaced(one, other)


def _contracted(a: Facts, b: Facts) -> bool:
    return any(place < 0 for _, place in (*a.negations, *b.negations))


def _scope(facts: Facts, told: list[str]) -> list[tuple[str, str]]:
    """Return each negation with the words that it governs."""
    return sorted((name, " ".join(told[place : place + 2])) for name, place in facts.negations)
