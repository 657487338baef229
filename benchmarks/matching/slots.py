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
_AFTER = re.compile(r"\b(?:in|to|from|for|at|of|near|by) (?:the |my |a )?([a-z]+)", re.IGNORECASE)


def other_slots(a: str, b: str) -> bool:
    """Tell whether times, amounts, or what stands behind a preposition differ."""
    return _slots(a) != _slots(b)


def _slots(text: str) -> list[str]:
    found = _SLOT.findall(text) + _AFTER.findall(text)
    return sorted(word.lower() for word in found)
