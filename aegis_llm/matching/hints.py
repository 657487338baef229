"""Short questions that a whole pattern gives away, where no single word does. Pure."""

from __future__ import annotations

import re

from aegis_llm.values import Route

_NOW = re.compile(
    r"(?:is|are) (?!there\b)[\w .'-]{1,40} (?:up|down|open|closed|online|offline)(?: yet)?\W*$"
    r"|(?:when (?:does|is|do) )?(?:the )?next (?:train|bus|flight|tram|ferry)\b"
    r"|(?:what(?:'s| is) the )?status of\b|who is on call\b|how many days until\b"
    r"|wann f\u00e4hrt der n\u00e4chste\b"
)
_PERSONAL = re.compile(
    r"(?:am i|was i) (?!allowed\b|able\b|entitled\b|required\b|supposed\b|permitted\b)"
    r"|(?:what(?:'s| is| are|s)|where(?:'s| is)) (?:my|our) (?!best\b|options?\b|rights?\b)"
    r"|what did (?:i|we)\b|wie hei\u00dfe ich\b|wo ist mein|\u00bfd\u00f3nde est\u00e1 mi\b"
    r"|\u00bfcu\u00e1l es mi\b"
)
_FOLLOW_UP = re.compile(
    r"are you sure\b|try again\b|in (?:english|german|french|spanish),? please\b"
    r"|which (?:one )?is better\W*$|give me (?:an|another|one) example\W*$"
    r"|what is the difference between (?:them|the two)\W*$"
)
_RANDOM = re.compile(
    r"(?:roll )?\d*d(?:4|6|8|10|12|20|100)\W*$|surprise me\W*$|pick a colou?r\W*$"
)
_ROUTES = (
    (_RANDOM, Route("skip", "route_random")),
    (_PERSONAL, Route("exact_only", "route_personal")),
    (_NOW, Route("exact_only", "route_now")),
    (_FOLLOW_UP, Route("exact_only", "route_follow_up")),
)


def hints(lowered: str) -> Route | None:
    """Return the route of a question in lower case that begins with one of the patterns."""
    text = lowered.strip()
    return next((found for pattern, found in _ROUTES if pattern.match(text)), None)
