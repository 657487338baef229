"""Who does what to whom: what governs each word, and the order of the words."""

from __future__ import annotations

from typing import Final

from aegis_llm.gates.facts import Facts
from aegis_llm.gates.forms import Words
from aegis_llm.gates.synonyms import CANONICAL, PARTICIPLES
from aegis_llm.gates.words import HARD_HEADS, MONTHS, SAME_HEADS, split

_BE: Final = frozenset(split("is are am was were be been being get gets got getting"))
_CLAUSE: Final = ","
_JOINED: Final = "&"
_GENITIVE: Final = frozenset({"of"})
_LOOSE: Final = frozenset(split("of in on at for"))
_NO_HEADS: Final = frozenset(("", _CLAUSE, _JOINED))
_MOST_MOVED: Final = 200  # words; in longer texts the order has to be the same
_WHOLE: Final = _MOST_MOVED
_PLAIN_READINGS: Final = ((_GENITIVE, 1), (_GENITIVE, _WHOLE))
_READINGS: Final = (*_PLAIN_READINGS, (_LOOSE, 1), (_LOOSE, 2))
"""Which prepositional phrases describe what stands before them, and how many words of it."""
_BETWEEN: Final = "between"
_EXTREMES: Final = frozenset({"best", "worst", "last"})

Phrase = tuple[str, list[str]]


def passive_verb(one: Facts, other: Facts) -> int:
    """Return the place of the verb that is passive in `one` and active in `other`, or -1."""
    if _BE.isdisjoint(one.said) or not _BE.isdisjoint(other.said):
        return -1
    for word in one.said - other.said:
        if word.endswith("ed") or word in PARTICIPLES:
            name = CANONICAL.get(word, word)
            if name in one.words:
                return one.words.index(name)
    return -1


def in_active_voice(parts: Words, verb: int) -> Words:
    """Return a passive clause the other way round: "b seen by a" as "a see b"."""
    words, heads = list(parts[0]), list(parts[1])
    agent: list[str] = []
    name = words.pop(verb)
    heads.pop(verb)
    if "by" in heads:
        first = heads.index("by")
        last = first + 1
        while last < len(heads) and not heads[last]:
            last += 1
        agent = words[first:last]
        del words[first:last], heads[first:last]
    return [*agent, name, *words], [""] * (len(agent) + 1) + heads


def misplaced(a: Words, b: Words) -> str | None:
    """Return the veto if the same words play other parts in the two texts."""
    if a[0] == b[0]:
        pairs = zip(a[1], b[1], strict=True)
        return "veto_direction" if any(_conflict(one, other) for one, other in pairs) else None
    if len(a[0]) > _MOST_MOVED:
        return "veto_order"
    governs = dict(zip(*a, strict=True))
    distinct = len(governs) == len(a[0])
    if distinct:  # of a repeated word only the order can tell
        for word, head in zip(*b, strict=True):
            pair = {head, governs[word]}  # what "of" joins is compared as a phrase
            if not ("of" in pair and pair <= _LOOSE) and _conflict(head, governs[word]):
                return "veto_direction"
    left, right = _unfronted(*a), _unfronted(*b)
    if "differ" in governs:
        left, right = _compared(left), _compared(right)
    for merged, before in _READINGS if distinct else _PLAIN_READINGS:
        if _same_phrases(_phrases(left, merged, before), _phrases(right, merged, before)):
            return None
    return "veto_order"


def _conflict(one: str, other: str) -> bool:
    """Tell whether two prepositions give a word two roles."""
    if one == other:
        return False
    if one in _NO_HEADS or other in _NO_HEADS:
        return one in HARD_HEADS or other in HARD_HEADS
    return frozenset((one, other)) not in SAME_HEADS


def _same_phrases(left: list[Phrase], right: list[Phrase]) -> bool:
    """Tell whether only phrases around one main clause moved.

    Those with the same preposition must stay in order, and so must several clauses.
    """
    if left == right:
        return True
    if sum(not head for head, _ in left) > 1 or sorted(left) != sorted(right):
        return False
    return _by_head(left) == _by_head(right)


def _by_head(phrases: list[Phrase]) -> list[Phrase]:
    """Sort by preposition and keep the order under one, except of what is "between"."""
    bound = [phrase for phrase in phrases if phrase[0] != _BETWEEN]
    return sorted(bound, key=lambda phrase: phrase[0])


def _phrases(parts: Words, merged: frozenset[str], before: int) -> list[Phrase]:
    """Cut the words at prepositions; a joined pair gets a fixed order.

    "a of b" becomes "b a" for each preposition in `merged`: b goes before the last `before`
    words of the phrase that it describes.
    """
    found: list[Phrase] = [("", [])]
    place = start = -1
    for word, head in zip(*parts, strict=True):
        phrase = found[-1][1]
        if head:
            _superlative_first(phrase)
            if head not in merged or not phrase:
                place = start = -1
            else:
                start = start if start >= 0 else max(0, len(phrase) - before)
                place = start
        if place >= 0:
            phrase.insert(place, word)
            place += 1
        elif head == _JOINED and found[-1][0] == _BETWEEN:
            found.append((_BETWEEN, [word]))
        elif head == _JOINED and phrase:
            phrase[-1:] = sorted((phrase[-1], word))
        elif head and head != _JOINED:
            found.append(("" if head == _CLAUSE else head, [word]))
        else:
            phrase.append(word)
            _month_first(phrase)
    _superlative_first(found[-1][1])
    return [phrase for phrase in found if phrase[1]]


def _month_first(phrase: list[str]) -> None:
    """Turn "5 may" into "may 5"."""
    if phrase[-1] in MONTHS and len(phrase) > 1 and phrase[-2].isdecimal():
        phrase[-2:] = phrase[:-3:-1]


def _compared(parts: Words) -> Words:
    """Turn "how a and b differ" and "how a differs from b" into "between a and b"."""
    kept = [index for index, word in enumerate(parts[0]) if word != "differ"]
    heads = [_JOINED if parts[1][index] == "from" else parts[1][index] for index in kept]
    if _BETWEEN not in heads:
        heads[:1] = [_BETWEEN]
    return [parts[0][index] for index in kept], heads


def _superlative_first(phrase: list[str]) -> None:
    """Turn "planet is the largest" into "largest planet"."""
    if len(phrase) > 1 and (phrase[-1].endswith("est") or phrase[-1] in _EXTREMES):
        phrase[-2:] = phrase[:-3:-1]


def _unfronted(words: list[str], heads: list[str]) -> Words:
    """Move a phrase that opens the text behind the clause that it opens."""
    if heads[0] in ("", _CLAUSE, _JOINED) or _CLAUSE not in heads:
        return words, heads
    cut = heads.index(_CLAUSE)
    return words[cut:] + words[:cut], ["", *heads[cut + 1 :], *heads[:cut]]
