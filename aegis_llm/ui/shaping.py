"""How values look on the page. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from aegis_llm.explanation.words import ago, in_words

_SNIPPET = 220
_TURNING = dict.fromkeys(map(ord, "\u202a\u202b\u202c\u202d\u202e"), "\ufffd")
_ORDER = ("hit_local", "hit_exact", "hit_semantic", "coalesced", "miss", "bypass", "failed")


def age(milliseconds: float) -> str:
    """Return a length of time in one number and its unit."""
    return ago(max(0.0, milliseconds / 1000))


def snippet(text: str) -> str:
    """Return the beginning of a text on one line."""
    line = visible(" ".join(text[: 4 * _SNIPPET].split()))
    return line if len(line) <= _SNIPPET else line[: _SNIPPET - 1] + "…"


def visible(text: str) -> str:
    """Return a text whose letters stand where they are: nothing in it turns others round."""
    return text.translate(_TURNING)


def moment(at_ms: int) -> str:
    """Return a time in the time zone of this machine."""
    when = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S %Z")


def count(number: int | None) -> str:
    """Return a number for a person; one that is not known is a question mark."""
    return "?" if number is None else f"{number:,}"


def bar(outcomes: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return the pieces of a bar that is 100 wide, those of hits first."""
    total = sum(outcomes.values())
    pieces, at = [], 0.0
    for name in _ORDER:
        if total and outcomes.get(name):
            width = 100 * outcomes[name] / total
            label = f"{name.replace('_', ' ')} {outcomes[name] / total:.0%}"
            pieces.append({"name": name, "x": at, "width": width, "label": label})
            at += width
    return pieces


FILTERS: dict[str, Callable[..., Any]] = {
    "age": age,
    "snippet": snippet,
    "visible": visible,
    "moment": moment,
    "count": count,
    "in_words": in_words,
}
