"""Forms of one word: inflections, spellings and compounds."""

from __future__ import annotations

from collections import Counter
from typing import Final

from aegis_llm.gates_words import split

MOST_LEFT_OVER: Final = 6
"""Unmatched content words on one side beyond which no explanation is looked for."""

_SHORTEST: Final = 3
_MOST_PARTS: Final = 3
_ENDINGS: Final = frozenset(
    {
        ("", "s"), ("", "es"), ("", "ed"), ("", "ing"), ("e", "ed"), ("e", "ing"), ("y", "ies"),
        ("s", "ing"), ("s", "ed"), ("es", "ed"), ("es", "ing"), ("ed", "ing"), ("", "d"),
        ("s", "d"), ("y", "ied"), ("ies", "ied"), ("ies", "ying"), ("ied", "ying"), ("y", "ying"),
    }
)  # fmt: skip
_NOT_PLURALS: Final = frozenset(split("news arms customs goods glasses physics politics"))

Words = tuple[list[str], list[str]]
"""Content words, and what stands before each of them."""


def aligned(a: Words, b: Words) -> tuple[Words, Words] | list[str]:
    """Return both with forms of one word under one name, or the words that only one side has."""
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
            if form not in renamed and inflected(word, form):
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


def inflected(one: str, other: str) -> bool:
    """Tell whether two words are forms or spellings of one word."""
    short = min(len(one), len(other))
    if short < _SHORTEST or one in _NOT_PLURALS or other in _NOT_PLURALS:
        return False
    same = 0
    while same < short and one[same] == other[same]:
        same += 1
    if same >= _SHORTEST:
        ends = (one[same:], other[same:])
        if ends in _ENDINGS or ends[::-1] in _ENDINGS:
            return True
        doubled = (one[same - 1] + "ing", one[same - 1] + "ed")
        if not all(ends) and "".join(ends) in doubled:
            return True
    return _spelled(one) == _spelled(other)


def _spelled(word: str) -> str:
    """Return a form in which British and American spellings are equal."""
    if len(word) <= _SHORTEST + 1:
        return word
    for old, new in (("our", "or"), ("is", "iz"), ("ys", "yz"), ("ll", "l"), ("ae", "e")):
        word = word.replace(old, new)
    return word[:-2] + "er" if word.endswith("tre") else word
