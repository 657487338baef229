"""Quantiles, and how sure they are. Pure: the seed is an argument.

Requests of one round share what the machine did just then, so they are not independent. A
resample therefore draws rounds first, and requests within each of them.
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


class Estimate(msgspec.Struct, frozen=True):
    """A figure with the interval in which it lies with a probability of 95 %.

    `low` and `high` are None where there are too few values to say; `n` is how many there were.
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
    able = [share for share in shares if enough(n, share)]
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
        low, high = ends[share]
        found.append(Estimate(value, float(min(low, value)), float(max(high, value)), n))
    return found


def estimate(
    rounds: Sequence[Sequence[float]], share: float, seed: int = 0, draws: int = _DRAWS
) -> Estimate | None:
    """Return a quantile of all values of some rounds; None: there are none."""
    return next(iter(estimates(rounds, [share], seed, draws)), None)


def mean_of_rounds(values: Sequence[float], seed: int = 0, draws: int = _DRAWS) -> Estimate | None:
    """Return the mean of one figure of each round; the interval needs three rounds."""
    if not values:
        return None
    array = np.asarray(values, float)
    if len(array) < 3:
        return Estimate(float(array.mean()), n=len(array))
    random = np.random.default_rng(seed)
    drawn = random.choice(array, (draws, len(array))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


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
