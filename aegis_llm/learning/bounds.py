"""How large a share can be, seen so many times of so many: exact (Clopper-Pearson) bounds.

Both bounds are one-sided: each alone holds with the confidence asked for.
"""

from __future__ import annotations

import math
from functools import lru_cache

_STEPS = 60  # halvings: the bound is exact to the last bits of a float
_MOST_TERMS = 100_000
_TINY = 1e-300
_PRECISION = 1e-15


@lru_cache(maxsize=1024)
def upper_bound(wrong: int, n: int, confidence: float) -> float:
    """Return the share that the true share of wrong ones does not exceed, with `confidence`.

    1.0 when nothing was seen.

    Raises:
        ValueError: The counts are impossible or `confidence` is not between 0 and 1.
    """
    _check(wrong, n, confidence)
    if wrong == n:
        return 1.0
    if wrong == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        if at_most(wrong, n, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower_bound(wrong: int, n: int, confidence: float) -> float:
    """Return the share that the true share of wrong ones reaches, with `confidence`.

    0.0 when nothing was seen.

    Raises:
        ValueError: The counts are impossible or `confidence` is not between 0 and 1.
    """
    _check(wrong, n, confidence)
    # Right ones seen as wrong ones, and the other way round.
    return 0.0 if wrong == 0 else 1.0 - upper_bound(n - wrong, n, confidence)


def at_most(wrong: int, n: int, share: float) -> float:
    """Return how likely it is to see at most `wrong` of `n` when `share` of all are wrong."""
    if wrong >= n:
        return 1.0
    if wrong < 0:
        return 0.0
    return incomplete_beta(n - wrong, wrong + 1, 1.0 - share)


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Evaluate the continued fraction of I_x(a, b) by Lentz's method."""
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    result = d
    for m in range(1, _MOST_TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = _away(1.0 + term / c), 1.0 / _away(1.0 + term * d)
            result *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return result


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _check(wrong: int, n: int, confidence: float) -> None:
    if not 0 <= wrong <= n:
        msg = f"{wrong} wrong of {n}: the counts must satisfy 0 <= wrong <= n"
        raise ValueError(msg)
    if not 0.0 < confidence < 1.0:
        msg = f"confidence={confidence!r}: give a number between 0 and 1, for example 0.95"
        raise ValueError(msg)
