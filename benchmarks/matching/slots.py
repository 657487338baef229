"""Telling whether two requests of one intent name another time, amount, place or thing."""

from __future__ import annotations

import re

_SLOT = re.compile(
    r"\d[\d:.,]*|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty"
    r"|forty|fifty|hundred|thousand|noon|midnight|morning|afternoon|evening|night|today|tonight"
    r"|tomorrow|yesterday|monday|tuesday|wednesday|thursday|friday|saturday|sunday|january"
    r"|february|march|april|may|june|july|august|september|october|november|december|week|month"
    r"|year|dollars?|euros?|pounds?|yen|rupees?|am|pm)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(in|to|from|near|at) (?:the |my )?([a-z]+)", re.IGNORECASE)


def other_slots(a: str, b: str) -> bool:
    """Tell whether times or amounts differ, or both name a place behind one preposition."""
    if _told(a) != _told(b):
        return True
    one, other = (dict(_PLACE.findall(text.lower())) for text in (a, b))
    return any(one[word] != other[word] for word in one.keys() & other.keys())


def _told(text: str) -> list[str]:
    return sorted(word.lower() for word in _SLOT.findall(text))
