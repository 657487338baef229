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


def estimate(
    rounds: Sequence[Sequence[float]], share: float, seed: int = 0, draws: int = _DRAWS
) -> Estimate | None:
    """Return a quantile of all values of some rounds; None: there are none."""
    filled = [np.asarray(one, float) for one in rounds if len(one)]
    if not filled:
        return None
    n = sum(map(len, filled))
    value = float(np.quantile(np.concatenate(filled), share))
    if not enough(n, share):
        return Estimate(value, n=n)
    drawn = [float(np.quantile(one, share)) for one in resamples(filled, seed, draws)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(min(low, value)), float(max(high, value)), n)


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


def resamples(rounds: Sequence[Array], seed: int, draws: int = _DRAWS) -> list[Array]:
    """Return as many sets of values as `draws`: rounds drawn first, then values within each."""
    random = np.random.default_rng(seed)
    found: list[Array] = []
    for _ in range(draws):
        picked = random.integers(len(rounds), size=len(rounds))
        parts = [rounds[n][random.integers(len(rounds[n]), size=len(rounds[n]))] for n in picked]
        found.append(np.concatenate(parts))
    return found
