"""Sizes and numbers as a person reads them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

GIB = 2**30
MIB = 2**20
KIB = 2**10


def gib(size: float | Fraction) -> str:
    """Return a size in GiB."""
    return f"{float(size) / GIB:,.2f} GiB"


def kib(size: float | Fraction) -> str:
    """Return a size in KiB, without a fraction where there is none."""
    return f"{float(size) / KIB:,.2f}".rstrip("0").rstrip(".") + " KiB"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: `1 slot`, `4 slots`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: `a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
