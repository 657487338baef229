"""Vetoes: reasons why two questions that look alike must not share an answer.

Each gate compares facts that a reader can check: numbers, names, negations, roles. A text that no
gate understands (another script, code) passes only when its words are the same in the same order.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from aegis_llm.gates_facts import Facts
from aegis_llm.gates_words import (
    FUTURE,
    MONTHS,
    OPPOSITES,
    PAST,
    PREPOSITION,
    PRESENT,
    ROLES,
    words,
)

MOST_LEFT_OVER: Final = 6
"""Unmatched content words on one side beyond which no explanation is looked for."""

_ENDINGS: Final = frozenset(
    {
        ("", "s"), ("", "es"), ("", "ed"), ("", "ing"), ("e", "ed"), ("e", "ing"), ("y", "ies"),
        ("s", "ing"), ("s", "ed"), ("es", "ed"), ("es", "ing"), ("ed", "ing"), ("", "d"),
        ("s", "d"), ("y", "ied"), ("ies", "ied"), ("ies", "ying"), ("ied", "ying"),
    }
)  # fmt: skip
_NOT_PLURALS: Final = frozenset(words("news arms customs goods glasses physics politics"))
_BINDING: Final = frozenset(word for word, role in ROLES.items() if role == (PREPOSITION, "!"))
_TOPICS: Final = frozenset({"about", "of", "on"})
_ALWAYS_TOLD: Final = frozenset({"only", "most"})
_VAGUE: Final = frozenset({"some", "many"})
_MINE: Final = frozenset(words("i me my mine we us our ours myself"))
_YOURS: Final = frozenset(words("you your yours yourself"))
_GENERAL: Final = frozenset(words("can do should would could"))
_OPEN_KINDS: Final = ({"what"}, {"how"})


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
    if a.kinds != b.kinds and not _same_kind(a, b):
        return "veto_question_kind"
    return _content(a, b)


def _function_words(a: Facts, b: Facts) -> str | None:
    """Compare what the small words say: contraries, amounts, time, persons."""
    only_b = b.said - a.said
    for word in a.said - b.said:
        if word in OPPOSITES and not OPPOSITES[word].isdisjoint(only_b):
            return "veto_opposites"
    if a.quantifiers != b.quantifiers:
        if not _ALWAYS_TOLD.isdisjoint(a.quantifiers ^ b.quantifiers):
            return "veto_quantifiers"
        for one, other in ((a, b), (b, a)):
            if "all" in one.quantifiers and not _VAGUE.isdisjoint(other.quantifiers):
                return "veto_quantifiers"
    for one, other in ((a, b), (b, a)):
        if not _past(other):
            continue
        if not _past(one) and not PRESENT.isdisjoint(one.said):
            return "veto_tense"
        if not FUTURE.isdisjoint(one.said) and FUTURE.isdisjoint(other.said):
            return "veto_tense"
    if a.people != b.people and a.people and b.people:
        return "veto_persons"
    return "veto_persons" if _turned(a, b) or _turned(b, a) else None


def _past(facts: Facts) -> bool:
    return not PAST.isdisjoint(facts.said)


def _turned(a: Facts, b: Facts) -> bool:
    """Tell whether `a` is about the asker and `b` about the one who is asked."""
    if _MINE.isdisjoint(a.said) or _YOURS.isdisjoint(b.said):
        return False
    if not _YOURS.isdisjoint(a.said) or not _MINE.isdisjoint(b.said):
        return False
    return a.kinds[:1] != ["how"] or _GENERAL.isdisjoint(a.said)


def _same_kind(a: Facts, b: Facts) -> bool:
    kinds = []
    for facts in (a, b):
        kind = set(facts.kinds)
        if "howmuch" in kind and "cost" in facts.words:
            kind = kind - {"howmuch"} | {"what"}
        if "how" in kind and "differ" in facts.words:
            kind = kind - {"how"} | {"what"}
        kinds.append(kind)
    one, other = kinds
    return one == other or (not one and other in _OPEN_KINDS) or (not other and one in _OPEN_KINDS)


def _content(a: Facts, b: Facts) -> str | None:
    """Compare the content words, then what governs them, then their order."""
    told = b.words
    if a.words != told:
        left, right = Counter(a.words), Counter(told)
        over_a, over_b = list((left - right).elements()), list((right - left).elements())
        if over_a or over_b:
            renamed = _explained(over_a, over_b)
            if renamed is None:
                named = not a.names.isdisjoint(over_a) or not b.names.isdisjoint(over_b)
                return "veto_names" if named else "veto_words"
            told = [renamed.get(word, word) for word in told]
    if _scope(a, a.words) != _scope(b, told) and not _contracted(a) and not _contracted(b):
        return "veto_negation"
    governs = dict(zip(told, b.heads, strict=True))
    for word, head in zip(a.words, a.heads, strict=True):
        if head != governs.get(word, head) and _binds(head, governs[word]):
            return "veto_direction"
    if a.words != told and _chunks(a.words, a.heads) != _chunks(told, b.heads):
        return "veto_order"
    return None


def _contracted(facts: Facts) -> bool:
    return any(place < 0 for _, place in facts.negations)


def _scope(facts: Facts, told: list[str]) -> list[tuple[str, str]]:
    """Return each negation with the word that it governs."""
    return sorted((name, "".join(told[at : at + 1])) for name, at in facts.negations)


def _binds(one: str, other: str) -> bool:
    if one in _BINDING or other in _BINDING:
        return True
    return "to" in (one, other) and (one in _TOPICS or other in _TOPICS)


def _explained(over_a: list[str], over_b: list[str]) -> dict[str, str] | None:
    """Return how to rename the words left over in b to those in a; None if they do differ."""
    if max(len(over_a), len(over_b)) > MOST_LEFT_OVER:
        return None
    renamed: dict[str, str] = {}
    for word in over_a:
        for other in over_b:
            if other not in renamed and _inflected(word, other):
                renamed[other] = word
                break
        else:
            return None
    return renamed if len(renamed) == len(over_b) else None


def _inflected(one: str, other: str) -> bool:
    """Tell whether two words are forms or spellings of one word."""
    short = min(len(one), len(other))
    if short < 3 or one in _NOT_PLURALS or other in _NOT_PLURALS:
        return False
    same = 0
    while same < short and one[same] == other[same]:
        same += 1
    ends = (one[same:], other[same:])
    if ends[0] > ends[1]:
        ends = (ends[1], ends[0])
    if same >= 3 and ends in _ENDINGS:
        return True
    if same >= 3 and ends[0] == "" and ends[1] in (one[same - 1] + "ing", one[same - 1] + "ed"):
        return True
    return _spelled(one) == _spelled(other)


def _spelled(word: str) -> str:
    """Return a form in which British and American spellings are equal."""
    if len(word) < 5:
        return word
    for old, new in (("our", "or"), ("is", "iz"), ("ys", "yz"), ("ll", "l"), ("ae", "e")):
        word = word.replace(old, new)
    return word[:-2] + "er" if word.endswith("tre") else word


def _chunks(told: list[str], heads: list[str]) -> list[tuple[str, list[str]]]:
    """Cut the words at prepositions; what remains ordered is what order decides."""
    found: list[tuple[str, list[str]]] = [("", [])]
    place = -1  # where the next word of an "of" phrase goes: before what it belongs to
    for word, head in zip(told, heads, strict=True):
        chunk = found[-1][1]
        if head == "of" and chunk:
            place = 0
        elif head:
            place = -1
        if place >= 0:
            chunk.insert(place, word)
            place += 1
        elif head == "&" and chunk:
            chunk[-1:] = sorted((chunk[-1], word))
        elif head and head != "&":
            found.append(("" if head == "," else head, [word]))
        elif chunk and word in MONTHS and chunk[-1].isdecimal():
            chunk.insert(-1, word)
        else:
            chunk.append(word)
    return sorted(chunk for chunk in found if chunk[1])
