"""What sort of thing a question asks for: a person, a place, a time, an amount, a named sort."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from aegis_llm.gates.facts import Facts
from aegis_llm.gates.words import split

_TOLD: Final = {
    "who": "who", "where": "where", "when": "when", "howmany": "amount", "howmuch": "amount",
    "howlong": "amount", "howoften": "often",
}  # fmt: skip
_NAMED: Final = {
    name: sort
    for sort, names in (
        ("when", "year month date day century decade time"),
        ("where", "city cities country countries place places state states location region"),
        ("where", "province town continent"),
        ("who", "person people group organization organisation company"),
        ("amount", "percentage percent number amount price cost"),
    )
    for name in split(names)
}
_AFTER_WHAT: Final = re.compile(
    r"\b(?:what|which) (?:(?:is|was|are|were) the )?(?:(?:type|kind|sort) of )?([a-z]+)"
)
_OPEN: Final = frozenset(
    split(
        "is was are were do does did the a some can should would will has have had it if to about"
        " happens happened makes causes"
    )
)
_PRICED: Final = frozenset(split("cost costs price charge"))
WHAT: Final = "what"


@lru_cache(maxsize=256)
def sort_asked(facts: Facts) -> set[str] | None:
    """Return the sorts of answer that a question asks for; None where that is open.

    "what" alone is a sort of its own, "what color" is the sort "color".
    """
    told = {_TOLD[kind] for kind in facts.kinds if kind in _TOLD}
    if told:
        return told
    if facts.kinds and facts.kinds[0] != WHAT:
        return None
    found = _AFTER_WHAT.search(facts.text.lower())
    if found is None:
        return None
    name = found[1]
    if name in _OPEN:
        return {"amount"} if not _PRICED.isdisjoint(facts.said) else {WHAT}
    return {_NAMED.get(name, "a " + name)}


def other_sort(a: Facts, b: Facts) -> bool:
    """Tell whether one asks for a person, place, time or amount, and the other for none."""
    one, other = sort_asked(a), sort_asked(b)
    if not one or not other or one & other:
        return False
    told = set(_TOLD.values())
    if {WHAT} in (one, other) and not _TOLD.keys() & {*a.kinds, *b.kinds}:
        return False  # "what is the capital", "which city is the capital"
    return bool((one | other) & told)
