"""Vetoes that no score overrules: what one question says and the other contradicts or lacks.

`gates.veto` is the strict reading, for where nothing but rules can decide: it also refuses words
that it cannot match. A veto here needs a reason that a reader would give: another number, another
name, a negation, another direction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from aegis_llm.gates.facts import Facts
from aegis_llm.gates.forms import inflected
from aegis_llm.gates.words import OPPOSITES, PARTICLES, UNITS, split

_MOST_COMPARED: Final = 400
_TELLING_KINDS: Final = frozenset(split("who where when why howmany howmuch howlong howoften"))
_TELLING_AMOUNTS: Final = frozenset(split("all only most both"))
_DEGREES: Final = frozenset(split("more less fewer"))
_SHE_HE: Final = frozenset({"he", "she"})
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
        "from/to before/after since/until above/below for/against in/out by/to with/against"
        " by/from before/during after/during"
    )
)
"""Prepositions that give a word contrary roles."""
_CALENDAR: Final = frozenset(
    split(
        "monday tuesday wednesday thursday friday saturday sunday spring summer autumn winter"
        " january february april june july august september october november december"
        " morning afternoon evening night noon midnight today tomorrow yesterday weekend weekday"
    )
)
_MONEY: Final = frozenset(
    split("dollar dollars euro euros pound pounds yen rupee rupees usd eur gbp inr jpy cents")
)
_JOINED: Final = frozenset(("&", ","))


def vetoes(a: Facts, b: Facts) -> tuple[str, ...]:
    """Return the names of all vetoes between two texts, in a fixed order; the same both ways."""
    return tuple(name for name, found in _each(a, b) if found)


def first_veto(a: Facts, b: Facts) -> str | None:
    """Return the first veto alone, for where only a refusal counts."""
    return next((name for name, found in _each(a, b) if found), None)


def _each(a: Facts, b: Facts) -> Iterable[tuple[str, bool]]:
    yield "veto_language", a.scripts != b.scripts
    yield "veto_numbers", _sorted(n for n, _ in a.numbers) != _sorted(n for n, _ in b.numbers)
    yield "veto_units", _other_units(a, b)
    yield "veto_literals", _sorted(a.literals) != _sorted(b.literals) or _other_quotes(a, b)
    yield "veto_code", a.symbols != b.symbols
    yield "veto_negation", _sorted(n for n, _ in a.negations) != _sorted(n for n, _ in b.negations)
    only_a, only_b = a.said - b.said, b.said - a.said
    leftover: tuple[list[str], list[str]] = ([], [])
    if only_a or only_b:
        leftover = left_over(a, b)
        yield "veto_opposites", _opposed(only_a, only_b, leftover)
        yield "veto_dates", not _CALENDAR.isdisjoint(only_a ^ only_b)
        yield "veto_names", _other_names(a, b, leftover)
        yield "veto_question_kind", _other_kind(a, b)
        yield "veto_quantifiers", _other_amounts(a, b)
        yield "veto_modality", "must" in only_a ^ only_b and _free(a, b)
        yield "veto_persons", bool(_SHE_HE & only_a and _SHE_HE & only_b)
        yield "veto_direction", not PARTICLES.isdisjoint(only_a | only_b)
    yield "veto_roles", not any(leftover) and _turned_round(a, b)


def left_over(a: Facts, b: Facts) -> tuple[list[str], list[str]]:
    """Return the content words that each text has alone, forms of one word counted as one."""
    left, right = Counter(a.words), Counter(b.words)
    only_a = list((left - right).elements())
    only_b = list((right - left).elements())
    if not only_a or not only_b or len(only_a) * len(only_b) > _MOST_COMPARED:
        return only_a, only_b
    names = a.names | b.names
    kept = []
    for word in only_a:
        for form in only_b:
            if not (word in names and form in names) and inflected(word, form):
                only_b.remove(form)
                break
        else:
            kept.append(word)
    return kept, only_b


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names)


def _other_units(a: Facts, b: Facts) -> bool:
    """Tell whether a number has two units; one without any may mean either."""
    if a.numbers and b.numbers:
        measured, other = _measures(a), _measures(b)
        if any(units != other.get(number, units) for number, units in measured.items()):
            return True
    money_a, money_b = a.said & _MONEY, b.said & _MONEY
    return bool(money_a and money_b) and not {UNITS.get(word) for word in money_a} & {
        UNITS.get(word) for word in money_b
    }


def _measures(facts: Facts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, unit in facts.numbers:
        if unit:
            found.setdefault(number, set()).add(unit)
    return found


def _other_quotes(a: Facts, b: Facts) -> bool:
    return bool(a.quotes and b.quotes) and a.quotes != b.quotes


def _opposed(only_a: set[str], only_b: set[str], leftover: tuple[list[str], list[str]]) -> bool:
    """Tell whether a word stands against its contrary, an odd number of times.

    "less rude" may be "more polite", so a degree counts only where nothing else differs.
    """
    against = {word for word in only_a if not OPPOSITES.get(word, _NONE).isdisjoint(only_b)}
    if not against:
        return False
    answering = {word for word in only_b if not OPPOSITES.get(word, _NONE).isdisjoint(only_a)}
    if not _DEGREES.isdisjoint(against | answering):
        others = [word for words in leftover for word in words if word not in _DEGREES]
        if all(any(word not in _DEGREES for word in words) for words in leftover):
            return False
        return bool(others) or min(len(against), len(answering)) % 2 == 1
    return True


_NONE: Final[frozenset[str]] = frozenset()


def _other_names(a: Facts, b: Facts, leftover: tuple[list[str], list[str]]) -> bool:
    return any(word in a.names for word in leftover[0]) or any(
        word in b.names for word in leftover[1]
    )


def _other_kind(a: Facts, b: Facts) -> bool:
    """Tell whether the two ask for things of two kinds: who, where, when, why, how many."""
    one, other = set(a.kinds), set(b.kinds)
    return one != other and bool(one & _TELLING_KINDS) and bool(other & _TELLING_KINDS)


def _other_amounts(a: Facts, b: Facts) -> bool:
    return not _TELLING_AMOUNTS.isdisjoint(a.quantifiers.keys() ^ b.quantifiers.keys())


def _free(a: Facts, b: Facts) -> bool:
    """Tell whether one question leaves open what the other says must be."""
    kinds = (a.kinds[:1], b.kinds[:1])
    return ["how"] not in kinds and ["what"] not in kinds


def _turned_round(a: Facts, b: Facts) -> bool:
    """Tell whether the same content words play contrary parts."""
    if a.words == b.words:
        pairs = zip(a.heads, b.heads, strict=True)
        return any(frozenset(pair) in _AGAINST for pair in pairs)
    if len(set(a.words)) == len(a.words) == len(b.words):
        governs = dict(zip(a.words, a.heads, strict=True))
        for word, head in zip(b.words, b.heads, strict=True):
            if frozenset((head, governs.get(word, head))) in _AGAINST:
                return not _passive(a, b)
    return _exchanged(a, b)


def _passive(a: Facts, b: Facts) -> bool:
    return ("by" in a.heads) != ("by" in b.heads)


def _exchanged(a: Facts, b: Facts) -> bool:
    """Tell whether two phrases changed places around a third: "A beats B", "B beats A"."""
    one, other = a.words, b.words
    if len(one) != len(other) or _passive(a, b) or not _MUTUAL.isdisjoint(a.said | b.said):
        return False
    start, end = 0, len(one)
    while start < end and one[start] == other[start]:
        start += 1
    while end > start and one[end - 1] == other[end - 1]:
        end -= 1
    left, right = one[start:end], other[start:end]
    size = len(left)
    for first in range(1, size - 1):
        for last in range(1, size - first):
            middle = left[first : size - last]
            if right == left[size - last :] + middle + left[:first]:
                between = a.heads[start + first : start + size - last + 1]
                return not _JOINED.issuperset(head for head in between if head) or not all(between)
    return False
