"""Whether two answers to one question say the same, as far as that shows without a judge. Pure."""

from __future__ import annotations

_AGREE = 0.9
_DIFFER = 0.6


def equal(one: str, other: str) -> bool:
    """Return whether two answers differ in white space at most."""
    return one.split() == other.split()


def by_similarity(similarity: float, vetoes: tuple[str, ...]) -> bool | None:
    """Return True for near answers, False for far ones, None for those in between.

    Near answers that a gate tells apart (another number, a negation) are in between, too.
    """
    if similarity < _DIFFER:
        return False
    return True if similarity >= _AGREE and not vetoes else None
