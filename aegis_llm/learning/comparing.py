"""Whether two answers to one question say the same, as far as that shows without a judge. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_llm.values import Request

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


def disagreements_needed(request: Request) -> int:
    """Return how many comparisons must find two answers different before their pair is refused.

    At temperature 0 one; above it, or where the request leaves it to the model, two, because a
    model that rolls dice may give two right answers to the same question.
    """
    options = request.params.get("options")
    given = options.get("temperature") if isinstance(options, Mapping) else None
    return 1 if given == 0 and not isinstance(given, bool) else 2
