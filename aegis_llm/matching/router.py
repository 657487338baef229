"""Which requests may be answered by the answer to another one."""

from __future__ import annotations

from typing import Literal

import msgspec

RouteKind = Literal["reuse", "exact_only", "skip"]


class Route(msgspec.Struct, frozen=True):
    """Whether a question may be answered by meaning, by an exact repeat only, or never.

    `reason` is "" for "reuse", else one word that says what kept it out.
    """

    kind: RouteKind
    reason: str = ""


_REUSE = Route("reuse")


def route(question: str) -> Route:
    """Return how far the answer to a question may be reused."""
    return _REUSE
