"""Who does what to whom, and when: the same words in contrary parts."""

from __future__ import annotations

from typing import Final

from aegis_llm.gates.clauses import conditions_exchanged
from aegis_llm.gates.facts import Facts
from aegis_llm.gates.forms import Words, akin, aligned
from aegis_llm.gates.words import split

_MUTUAL: Final = frozenset(
    split(
        "close connected related married dating friend friends acquaintance engaged similar"
        " different differ difference differences same equal versus compare compared comparison"
        " between distance near meet met together identical cousin cousins sibling siblings"
        " neighbour neighbours neighbor neighbors colleague colleagues compatible mix mixed"
    )
)
"""Words whose two sides can change places."""
_AGAINST: Final = frozenset(
    frozenset(pair.split("/"))
    for pair in split(
        "from/to before/after since/until above/below for/against by/to with/against by/from"
        " before/during after/during to/at to/in about/by about/from by/on by/until"
        " from/until from/till"
    )
)
"""Prepositions that give a word contrary roles."""
_GOVERNING: Final = frozenset(
    split("to in from than by with on against above for before after while until without")
)
_LONGEST_TURN: Final = 16
_JOINED: Final = frozenset(("&", ","))
_HELPING: Final = frozenset(
    split("is are am was were be been being has have had did do does will would can could get got")
)
_FUTURE: Final = frozenset({"will", "would"})
_PAST: Final = frozenset(
    split(
        "ate became began bought broke brought built came caught chose did drank drew drove fell"
        " felt flew forgot found fought froze gave got grew heard held kept knew led left lost"
        " made meant met paid rang ran rode rose said sang sat saw sent shook slept sold sought"
        " spent spoke stole stood stuck swam swept swore taught thought threw told took went woke"
        " won wore wrote"
    )
)
_FIRST: Final = frozenset({"i", "my"})
_SECOND: Final = frozenset({"you", "your"})
_ACTORS: Final = frozenset({"who", "what"})
_BEING: Final = frozenset(split("is are was were be been being"))
_DO: Final = frozenset(split("do does did is are was were be been being"))
_DID: Final = frozenset(split("do does did"))
_FEWEST: Final = 2


def turned_round(a: Facts, b: Facts) -> bool:
    """Tell whether the same content words play contrary parts."""
    if _passive(a, b):
        return _asked_for(a, b) or _asked_for(b, a)
    found = aligned((a.words, a.heads), (b.words, b.heads), a.names | b.names)
    if isinstance(found, list):
        return False
    one, other = found
    if conditions_exchanged(one, other):
        return True
    if one[0] == other[0]:
        pairs = zip(one[1], other[1], strict=True)
        return any(frozenset(pair) in _AGAINST for pair in pairs)
    if mutual(a, b):
        return False
    if _object(a, b) or _object(b, a) or _heads_exchanged(one, other):
        return True
    return _exchanged(one, other) or _exchanged(other, one)


def _heads_exchanged(one: Words, other: Words) -> bool:
    """Tell whether a preposition governs another word: "wash before cooking", "cook before"."""
    if len(set(one[0])) != len(one[0]) or len(one[0]) != len(other[0]):
        return False
    governs = dict(zip(*one, strict=True))
    lost: set[str] = set()
    won: set[str] = set()
    for word, head in zip(*other, strict=True):
        before = governs.get(word, head)
        if frozenset((head, before)) in _AGAINST:
            return True
        if head != before:
            lost.add(before)
            won.add(head)
    return not (lost & won).isdisjoint(_GOVERNING)


def mutual(a: Facts, b: Facts) -> bool:
    """Tell whether what is asked is the same from both sides: "A is married to B"."""
    found = _MUTUAL & (a.said | b.said)
    return bool(found) and not (found == {"close"} and "open" in a.said | b.said)


def persons_exchanged(a: Facts, b: Facts) -> bool:
    """Tell whether the asker and another person change parts: "can I pay you", "you pay me"."""
    one, other = _persons(a), _persons(b)
    return one != other and len(one) >= _FEWEST and sorted(one) == sorted(other)


def other_tense(a: Facts, b: Facts) -> bool:
    """Tell whether a verb is in the past in `a` alone: "who worked", "who works", "who will work".

    What was done habitually is past as well.
    """
    if "habitually" in a.said - b.said:
        return True
    if not _HELPING.isdisjoint(a.said) or not (_HELPING - _FUTURE).isdisjoint(b.said):
        return False
    others = [form for form in b.said - a.said if form not in _PAST and not form.endswith("ed")]
    return any(
        (word in _PAST or word.endswith("ed")) and any(akin(word, form) for form in others)
        for word in a.said - b.said
        if word in a.plain
    )


def _persons(facts: Facts) -> list[str]:
    return [
        "1" if person in _FIRST else "2" if person in _SECOND else person
        for person in facts.people
    ]


def _asked_for(done: Facts, doing: Facts) -> bool:
    """Tell whether who suffers is asked for in `done`, and who acts in `doing`.

    "who was taught by A", "who taught A"; but "who did A teach" asks for the first.
    """
    if done.kinds[:1] != doing.kinds[:1] or not set(done.kinds[:1]) <= _ACTORS:
        return False
    if "by" in done.said and "whom" in done.said:
        return False
    return "by" in done.heads and not _BEING.isdisjoint(done.said) and _DO.isdisjoint(doing.said)


def _object(one: Facts, other: Facts) -> bool:
    """Tell whether "who" is the object in `one` and the subject in `other`.

    "whom did A hire", "who hired A".
    """
    kinds = one.kinds[:1]
    if kinds != other.kinds[:1] or not set(kinds) <= _ACTORS or len(one.words) < _FEWEST:
        return False
    return not _DID.isdisjoint(one.said) and _HELPING.isdisjoint(other.said)


def _passive(a: Facts, b: Facts) -> bool:
    return ("by" in a.heads) != ("by" in b.heads)


def _exchanged(a: Words, b: Words) -> bool:
    """Tell whether two phrases changed places around a third: "A beats B", "B beats A"."""
    one, other = a[0], b[0]
    if len(one) != len(other):
        return False
    start, end = 0, len(one)
    while start < end and one[start] == other[start]:
        start += 1
    while end > start and one[end - 1] == other[end - 1]:
        end -= 1
    left, right = one[start:end], other[start:end]
    size = len(left)
    if size > _LONGEST_TURN:
        return False
    for first in range(1, size - 1):
        for last in range(1, size - first):
            if right == left[size - last :] + left[first : size - last] + left[:first]:
                between = a[1][start + first : start + size - last + 1]
                return not _JOINED.issuperset(head for head in between if head) or not all(between)
    return False
