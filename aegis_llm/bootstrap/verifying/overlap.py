"""How many requests a model answers at once, from when their answers were written. Pure.

A request that writes holds a slot from its first piece to its last. So the greatest number that
write at the same time is never more than the slots; it is the slots where more were sent, they
had to wait, and longer answers change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aegis_llm.bootstrap.verifying.verdict import Round

_LEAST_SENT, _MOST_SENT = 3, 64
_TOKENS, _MOST_TOKENS = 48, 384
_MOST_ROUNDS = 6
_BUSY = 0.4  # share of the time; less means that slots stood idle between short answers


class Span(NamedTuple):
    """When one answer was written: its first and last piece, by the server's clock."""

    first: float
    last: float


class Next(NamedTuple):
    """What to send next: so many requests with so many tokens each."""

    sent: int
    tokens: int


def at_once(spans: Sequence[Span]) -> int:
    """Return the greatest number of answers that were written at the same time."""
    # At the same instant ends come first: a slot that is freed may be taken at once.
    moves = sorted([(one.first, 1) for one in spans] + [(one.last, -1) for one in spans])
    most = now = 0
    for _, move in moves:
        now += move
        most = max(most, now)
    return max(most, 1) if spans else 0


def busy_share(spans: Sequence[Span]) -> float:
    """Return for which share of the time `at_once` slots were writing."""
    if not spans:
        return 0.0
    whole = max(one.last for one in spans) - min(one.first for one in spans)
    written = sum(one.last - one.first for one in spans)
    return min(1.0, written / (whole * at_once(spans))) if whole > 0 else 0.0


def first_round(expected: int, most: int = _MOST_SENT) -> Next:
    """Return the first requests, where so many slots are expected."""
    return Next(min(max(_LEAST_SENT, 2 * expected + 1), most), _TOKENS)


def next_round(rounds: Sequence[Round], most: int = _MOST_SENT) -> Next | None:
    """Return what to send after these rounds; None: it is known, or not to be found out."""
    last = rounds[-1]
    if is_sure(rounds) or len(rounds) >= _MOST_ROUNDS:
        return None
    if last.at_once >= last.sent:  # all at once: there may be more slots
        return Next(min(2 * last.sent + 1, most), last.tokens) if last.sent < most else None
    return Next(last.sent, min(2 * last.tokens, _MOST_TOKENS))


def slots_of(rounds: Sequence[Round]) -> int | None:
    """Return the slots that the rounds show; None: nothing was written."""
    return max((one.at_once for one in rounds), default=0) or None


def is_sure(rounds: Sequence[Round]) -> bool:
    """Return whether two rounds show the same number, with requests that waited in both.

    Where slots stood idle in between, requests did not wait: they came too slowly.
    """
    if len(rounds) < 2:
        return False
    most = max(one.at_once for one in rounds)
    same = [one for one in rounds if one.at_once == most and one.sent > most and one.busy >= _BUSY]
    return most > 0 and len(same) >= 2
