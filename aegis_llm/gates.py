"""Vetoes: reasons why two questions that look alike must not share an answer.

Each gate compares facts that a reader can check: numbers, names, negations, roles. A text that no
gate understands (another script, code) passes only when its words are the same in the same order.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from aegis_llm.gates_facts import Facts
from aegis_llm.gates_words import (
    CONFLICTS,
    FUTURE,
    HARD_HEADS,
    MONTHS,
    OPPOSITES,
    PAST,
    PRESENT,
    split,
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
_NOT_PLURALS: Final = frozenset(split("news arms customs goods glasses physics politics"))
_ALWAYS_TOLD: Final = frozenset({"only", "most"})
_VAGUE: Final = frozenset({"some", "many"})
_MINE: Final = frozenset(split("i me my mine we us our ours myself"))
_YOURS: Final = frozenset(split("you your yours yourself"))
_GENERAL: Final = frozenset(split("can do should would could"))
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
    one, other = a.words, b.words
    if one != other:
        left, right = Counter(one), Counter(other)
        over_a, over_b = sorted((left - right).elements()), sorted((right - left).elements())
        if over_a or over_b:
            renamed = _explained(*sorted((over_a, over_b)))
            if renamed is None:
                named = not a.names.isdisjoint(over_a) or not b.names.isdisjoint(over_b)
                return "veto_names" if named else "veto_words"
            one = [renamed.get(word, word) for word in one]
            other = [renamed.get(word, word) for word in other]
    if a.negations and _scope(a, one) != _scope(b, other) and not _contracted(a, b):
        return "veto_negation"
    if one != other or a.heads != b.heads:
        return _placed(one, a.heads, other, b.heads)
    return None


def _contracted(a: Facts, b: Facts) -> bool:
    return any(place < 0 for _, place in (*a.negations, *b.negations))


def _scope(facts: Facts, told: list[str]) -> list[tuple[str, str]]:
    """Return each negation with the word that it governs."""
    return sorted((name, "".join(told[place : place + 1])) for name, place in facts.negations)


def _placed(one: list[str], heads: list[str], other: list[str], others: list[str]) -> str | None:
    """Compare what governs the same words, then the order that they stand in."""
    governs = dict(zip(one, heads, strict=True))
    if len(governs) == len(one):  # with a repeated word only the order can tell
        for word, head in zip(other, others, strict=True):
            if head != governs[word] and _conflict(head, governs[word]):
                return "veto_direction"
    return None if one == other or _same_order(one, heads, other, others) else "veto_order"


def _conflict(one: str, other: str) -> bool:
    """Tell whether two prepositions give a word two roles."""
    return one in HARD_HEADS or other in HARD_HEADS or frozenset((one, other)) in CONFLICTS


def _explained(few: list[str], many: list[str]) -> dict[str, str] | None:
    """Return common names for the words left over on both sides; None if they do differ."""
    if len(few) != len(many) or len(few) > MOST_LEFT_OVER:
        return None
    renamed: dict[str, str] = {}
    for word in few:
        for other in many:
            if other not in renamed and _inflected(word, other):
                renamed[other] = word
                break
        else:
            return None
    return renamed


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


def _same_order(one: list[str], heads: list[str], other: list[str], others: list[str]) -> bool:
    """Tell whether two orders of the same words say the same.

    Phrases may move around one main clause; those with one preposition stay in order, and so do
    several clauses.
    """
    left, right = _phrases(one, heads), _phrases(other, others)
    if sorted(left) != sorted(right):
        return False
    if sum(not head for head, _ in left) > 1 and left != right:
        return False
    return all(
        [words for head, words in left if head == shared]
        == [words for head, words in right if head == shared]
        for shared in {head for head, _ in left}
    )


def _phrases(told: list[str], heads: list[str]) -> list[tuple[str, list[str]]]:
    """Cut the words at prepositions, with "a of b" as "b a" and joined pairs in a fixed order."""
    found: list[tuple[str, list[str]]] = [("", [])]
    place = -1  # where the next word of an "of" phrase goes: before what it belongs to
    for word, head in zip(told, heads, strict=True):
        phrase = found[-1][1]
        if head:
            place = 0 if head == "of" and phrase else -1
        if place >= 0:
            phrase.insert(place, word)
            place += 1
        elif head == "&" and phrase:
            phrase[-1:] = sorted((phrase[-1], word))
        elif head and head != "&":
            found.append(("" if head == "," else head, [word]))
        elif phrase and word in MONTHS and phrase[-1].isdecimal():
            phrase.insert(-1, word)
        else:
            phrase.append(word)
    return [phrase for phrase in found if phrase[1]]
