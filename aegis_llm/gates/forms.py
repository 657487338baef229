"""Forms of one word: inflections, spellings and compounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Final

from aegis_llm.gates.synonyms import CANONICAL
from aegis_llm.gates.words import split

MOST_LEFT_OVER: Final = 6
"""Unmatched content words on one side beyond which no explanation is looked for."""

_SHORTEST: Final = 3
_MOST_PARTS: Final = 3
_ENDINGS: Final = frozenset(
    {
        ("", "s"), ("", "es"), ("", "ed"), ("", "ing"), ("e", "ed"), ("e", "ing"), ("y", "ies"),
        ("s", "ing"), ("s", "ed"), ("es", "ed"), ("es", "ing"), ("ed", "ing"), ("y", "ying"),
        ("y", "ied"), ("ies", "ied"), ("ies", "ying"), ("ied", "ying"),
    }
)  # fmt: skip
_AFTER_E: Final = frozenset({("", "d"), ("d", ""), ("s", "d"), ("d", "s")})
_VOWELS: Final = frozenset("aeiouy")
_OTHER_WORDS: Final = frozenset(
    split("news arms customs goods glasses physics politics even evening")
)
"""Words that only look like a form of a shorter one."""

Words = tuple[list[str], list[str]]
"""Content words, and what stands before each of them."""


def aligned(a: Words, b: Words, names: AbstractSet[str]) -> tuple[Words, Words] | list[str]:
    """Return both with forms of one word under one name, or the words that only one side has.

    Names have no forms: Robert is not Roberts. Nor has a word alone: stocking is not a stock.
    """
    one, other = a[0], b[0]
    left, right = Counter(one), Counter(other)
    over_a, over_b = list((left - right).elements()), list((right - left).elements())
    if not over_a and not over_b:
        return a, b
    for whole, parts, run in ((over_a, b, over_b), (over_b, a, over_a)):
        if len(whole) == 1 < len(run) <= _MOST_PARTS and whole[0] == "".join(run):
            joined = _joined(parts, run, whole[0])
            if joined is not None:
                return (a, joined) if parts is b else (joined, b)
    if len(over_a) != len(over_b) or len(over_a) > MOST_LEFT_OVER:
        return over_a + over_b
    renamed: dict[str, str] = {}
    few, many = sorted((sorted(over_a), sorted(over_b)))
    for word in few:
        for form in many:
            named = word in names and form in names
            lone = len(one) == 1 and word.endswith("ing") != form.endswith("ing")
            if form not in renamed and not named and not lone and inflected(word, form):
                renamed[form] = word
                break
        else:
            return over_a + over_b
    return (
        ([renamed.get(word, word) for word in one], a[1]),
        ([renamed.get(word, word) for word in other], b[1]),
    )


def _joined(parts: Words, run: list[str], compound: str) -> Words | None:
    """Put a compound in the place of the words that it is made of, where they are neighbours."""
    words, heads = parts
    first = words.index(run[0])
    last = first + len(run)
    if words[first:last] != run:
        return None
    return [*words[:first], compound, *words[last:]], [*heads[: first + 1], *heads[last:]]


def akin(one: str, other: str) -> bool:
    """Tell whether two words are forms of one verb, regular or not."""
    head = CANONICAL.get(one)
    return inflected(one, other) if head is None else head == CANONICAL.get(other)


def inflected(one: str, other: str) -> bool:
    """Tell whether two words are forms or spellings of one word."""
    short = min(len(one), len(other))
    if short < _SHORTEST or one in _OTHER_WORDS or other in _OTHER_WORDS:
        return False
    same = 0
    while same < short and one[same] == other[same]:
        same += 1
    if same >= _SHORTEST:
        stem, ends = one[:same], (one[same:], other[same:])
        if stem[-1] == "e" and ends in _AFTER_E:
            return True
        if ends in _ENDINGS or ends[::-1] in _ENDINGS:
            return "" not in ends or not _takes_no(stem, "".join(ends))
        doubled = (stem[-1] + "ing", stem[-1] + "ed")
        if "" in ends and "".join(ends) in doubled:
            return True
    return _spelled(one) == _spelled(other)


def _takes_no(stem: str, ending: str) -> bool:
    """Tell whether the ending makes another word: "hop" becomes "hopping", not "hoping"."""
    if ending in ("s", "es"):
        return stem[-1] == "s" and ending == "s"
    if stem[-1] in "wxy" or stem[-1] in _VOWELS or stem[-2] not in _VOWELS:
        return False
    return sum(char in _VOWELS for char in stem) == 1


def _spelled(word: str) -> str:
    """Return a form in which British and American spellings are equal."""
    if len(word) <= _SHORTEST + 1:
        return word
    for old, new in (("our", "or"), ("is", "iz"), ("ys", "yz"), ("ll", "l"), ("ae", "e")):
        word = word.replace(old, new)
    return word[:-2] + "er" if word.endswith("tre") else word
