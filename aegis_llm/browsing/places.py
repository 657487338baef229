"""Where a page begins, as a text that a link can carry. Pure."""

from __future__ import annotations

import re

import msgspec

from aegis_llm.errors import ConfigError

_SCAN = re.compile(r"s(\d{1,4})-(\d{1,20})-(\d{1,6})")
_MOST_CURSORS = 1 << 64
MOST_OF_A_MOMENT = 2000
"""Entries of one millisecond that are told apart."""
_SEARCH = re.compile(r"f(\d{1,15})-(\d{1,6})")


class ScanPlace(msgspec.Struct, frozen=True):
    """A cursor of SCAN on one of the servers, and how many of its keys were shown already."""

    node: int = 0
    cursor: int = 0
    skip: int = 0

    def __str__(self) -> str:
        return f"s{self.node}-{self.cursor}-{self.skip}"


class SearchPlace(msgspec.Struct, frozen=True):
    """The time (ms) from which on backwards is searched, and how many of it were shown already."""

    before_ms: int
    skip: int = 0

    def __str__(self) -> str:
        return f"f{self.before_ms}-{self.skip}"


def place_of(text: str) -> ScanPlace | SearchPlace | None:
    """Return the place that a text names; None: the beginning.

    Raises:
        ConfigError: It names none.
    """
    if not text:
        return None
    if (found := _SCAN.fullmatch(text)) and int(found[2]) < _MOST_CURSORS:
        return ScanPlace(*map(int, found.groups()))
    if (found := _SEARCH.fullmatch(text)) and int(found[2]) <= MOST_OF_A_MOMENT:
        return SearchPlace(*map(int, found.groups()))
    msg = f"{text[:40]!r} names no page; begin with the first one"
    raise ConfigError(msg)
