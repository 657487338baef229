"""Quantiles, and how sure they are. Pure: the seed is an argument.

Requests of one round share what the machine did just then, so they are not independent. A
resample therefore draws rounds first, and requests within each of them. A few rounds show less
spread than there is, so what they give is widened as Student's t is against the normal curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], float]
_DRAWS = 1000
_LEAST = {0.5: 3, 0.95: 20, 0.99: 100}
"""Values that a quantile needs: with fewer, the highest of them is all one sees."""
_BOUNDED = {0.5: 6, 0.95: 72, 0.99: 368}
"""Values that its interval needs: with fewer it may well lie beyond all of them."""
_ROUNDS = 3
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)
_NORMAL = 1.96
"""Student's t and the normal curve: what 2.5 % lie beyond, by degrees of freedom from 1 on."""


class Estimate(msgspec.Struct, frozen=True):
    """A figure with the interval in which it lies with a probability of 95 %.

    `low` and `high` are None where there are too few values or rounds to say; `n` is how many
    values there were.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return a quantile, linear between neighbours; None: no values."""
    return float(np.quantile(np.asarray(values, float), share)) if len(values) else None


def enough(n: int, share: float) -> bool:
    """Return whether `n` values say something about a quantile."""
    return n >= _LEAST.get(share, 3)


def estimates(
    rounds: Sequence[Sequence[float]], shares: Sequence[float], seed: int = 0, draws: int = _DRAWS
) -> list[Estimate]:
    """Return some quantiles of all values of some rounds; an empty list: there are no values."""
    filled = [np.asarray(one, float) for one in rounds if len(one)]
    if not filled:
        return []
    whole = np.concatenate(filled)
    n = len(whole)
    few = len(filled) < _ROUNDS
    able = [share for share in shares if n >= _BOUNDED.get(share, 6) and not few]
    wider = _t(len(filled)) / _NORMAL * (len(filled) / max(1, len(filled) - 1)) ** 0.5
    ends: dict[float, Array] = {}
    if able:
        (drawn,) = resamples([filled], seed, draws)
        spread = np.quantile(drawn, able, axis=1)
        ends = {
            share: np.quantile(one, [0.025, 0.975])
            for share, one in zip(able, spread, strict=True)
        }
    found = []
    for share in shares:
        value = float(np.quantile(whole, share))
        if share not in ends:
            found.append(Estimate(value, n=n))
            continue
        low, high = (_widened(value, float(end), wider) for end in ends[share])
        found.append(Estimate(value, min(low, value), max(high, value), n))
    return found


def estimate(
    rounds: Sequence[Sequence[float]], share: float, seed: int = 0, draws: int = _DRAWS
) -> Estimate | None:
    """Return a quantile of all values of some rounds; None: there are none."""
    return next(iter(estimates(rounds, [share], seed, draws)), None)


def mean_of_rounds(values: Sequence[float]) -> Estimate | None:
    """Return the mean of one figure of each round; the interval needs three rounds."""
    if not values:
        return None
    array = np.asarray(values, float)
    mean, n = float(array.mean()), len(array)
    if n < _ROUNDS:
        return Estimate(mean, n=n)
    reach = _t(n) * float(array.std(ddof=1)) / n**0.5
    return Estimate(mean, max(0.0, mean - reach), mean + reach, n)


def _widened(value: float, end: float, factor: float) -> float:
    """Return an end of an interval so many times further off; no time or rate is below zero."""
    if value > 0 and end > 0:
        return float(value * (end / value) ** factor)
    return max(0.0, value + factor * (end - value))


def _t(rounds: int) -> float:
    return _T[rounds - 2] if rounds - 2 < len(_T) else _NORMAL


def resamples(sets: Sequence[Sequence[Array]], seed: int, draws: int = _DRAWS) -> list[Array]:
    """Return values drawn anew, one row for each draw: rounds first, then values within each.

    Each set has its rounds; sets that are given together are drawn alike, so they must have the
    same rounds with as many values in each. Rounds of unlike size give as many as they have in
    the mean.
    """
    random = np.random.default_rng(seed)
    sizes = np.array([len(one) for one in sets[0]])
    each = max(1, round(float(sizes.mean())))
    picked = random.integers(len(sizes), size=(draws, len(sizes)))
    within = (random.random((draws, len(sizes), each)) * sizes[picked][:, :, None]).astype(int)
    found: list[Array] = []
    for rounds in sets:
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        whole = np.concatenate(list(rounds))
        found.append(whole[starts[picked][:, :, None] + within].reshape(draws, -1))
    return found
