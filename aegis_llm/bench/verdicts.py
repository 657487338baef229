"""What a comparison says of one figure, and when it says that something changed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log
from statistics import median_high
from typing import Literal, NamedTuple

import msgspec

from aegis_llm.bench.values import Sent

Verdict = Literal["better", "worse", "within noise", "too few"]
THRESHOLD = 0.05
ROUNDS = 4
"""Rounds that both files need: fewer cannot tell a change from chance."""
_T = ((3, 12.92), (4, 8.61), (6, 5.96), (8, 5.04), (10, 4.59), (12, 4.32), (16, 4.02), (20, 3.85),
      (30, 3.65), (60, 3.46))  # fmt: skip
_NORMAL = 3.29
"""What Student's t and the normal curve exceed once in two thousand times, to one side; by degrees
of freedom."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one phase.

    Attributes:
        before: Its value in the first file, `after` in the second.
        ratio: After over before, with the `low` and `high` end of its interval of 99.9 %; None:
            too few values for one.
        paired: Whether the same prompts were compared.
    """

    phase: str
    figure: str
    unit: str
    before: float
    after: float
    ratio: float
    low: float | None
    high: float | None
    verdict: Verdict
    paired: bool = False


class Ratio(NamedTuple):
    """A figure after over before, and how far it moves by chance.

    `spread` is the standard error of the ratio's logarithm; None: too few values. `freedom` is
    from how many values that was found, less what was fitted to them; `requests` are those of the
    file with fewer.
    """

    phase: str
    figure: str
    unit: str
    before: float
    after: float
    ratio: float
    spread: float | None
    freedom: int
    requests: int
    more_is_better: bool = False
    paired: bool = False


def judged(found: Sequence[Ratio], threshold: float) -> list[Compared]:
    """Return a verdict for each ratio; those of the same figure lend each other their spread.

    Four or five rounds say little about how far a figure moves: by chance alone some phase looks
    steadier than it is, and among forty figures that one gives the alarm. So no phase is taken to
    be steadier than the middle one of them, nor than that one would be with as few requests.
    """
    same: dict[str, list[Ratio]] = {}
    for one in found:
        if one.spread is not None:
            same.setdefault(one.figure, []).append(one)
    return [_judged(one, same.get(one.figure, []), threshold) for one in found]


def _judged(one: Ratio, same: Sequence[Ratio], threshold: float) -> Compared:
    low = high = None
    verdict: Verdict = "too few"
    if one.spread is not None and one.ratio > 0:
        least = median_high(each.spread or 0.0 for each in same)
        of_one = median_high((each.spread or 0.0) * each.requests**0.5 for each in same)
        spread = max(one.spread, least, of_one / one.requests**0.5)
        reach = _reach(sum(each.freedom for each in same)) * spread
        low, high = exp(log(one.ratio) - reach), exp(min(700.0, log(one.ratio) + reach))
        verdict = "within noise"
        if low > 1 + threshold:
            verdict = "better" if one.more_is_better else "worse"
        elif high < 1 / (1 + threshold):
            verdict = "worse" if one.more_is_better else "better"
    return Compared(
        phase=one.phase, figure=one.figure, unit=one.unit, before=one.before, after=one.after,
        ratio=one.ratio, low=low, high=high, verdict=verdict, paired=one.paired,
    )  # fmt: skip


def _reach(freedom: int) -> float:
    return next((reach for most, reach in _T if freedom <= most), _NORMAL)


def compared_shares(
    name: str,
    phase: str,
    first: Sequence[Sent],
    second: Sequence[Sent],
    threshold: float,
    of: Callable[[Sent], float | None],
    *,
    more_is_better: bool = False,
) -> list[Compared]:
    """Compare how often something happened; by the normal interval of a difference of shares."""
    one = [value for sent in first if (value := of(sent)) is not None]
    other = [value for sent in second if (value := of(sent)) is not None]
    if not one or not other or not (sum(one) or sum(other)):
        return []
    before, after = sum(one) / len(one), sum(other) / len(other)
    spread = _NORMAL * (_variance(one) + _variance(other)) ** 0.5
    change = after - before
    verdict: Verdict = "within noise"
    if abs(change) - spread > threshold:
        verdict = "better" if (change > 0) == more_is_better else "worse"
    return [
        Compared(phase=phase, figure=name, unit="share", before=before, after=after,
                 ratio=after / before if before else float(len(other)), low=None, high=None,
                 verdict=verdict)
    ]  # fmt: skip


def _variance(values: Sequence[float]) -> float:
    # Of none in n it could still have been one or two (Agresti and Coull): never zero.
    n = len(values) + 4
    share = (sum(values) + 2) / n
    return share * (1 - share) / n
