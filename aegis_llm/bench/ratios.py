"""The figures of a phase in two files as ratios, and how far each moves by chance. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from aegis_llm.bench.figures import prefill_speed, stream_speed
from aegis_llm.bench.statistics import enough, resamples
from aegis_llm.bench.values import Phase, Sent
from aegis_llm.bench.verdicts import ROUNDS, Ratio

_DRAWS = 400
_LEAST = 5
_TINY = 1e-12
OVER_ALL = "all load phases"
Keyed = dict[tuple[int, int], float]


class _Figure(msgspec.Struct, frozen=True):
    name: str
    unit: str
    of: Callable[[Sent], float | None]
    share: float
    more_is_better: bool = False
    kinds: tuple[str, ...] = ("load", "prefix", "cold", "cache")


def _alone(of: Callable[[Sent], float | None], label: str) -> Callable[[Sent], float | None]:
    return lambda one: of(one) if one.label == label else None


_FIRST = _Figure("first token, p50", "s", lambda one: one.ttft, 0.5, kinds=("load", "prefix"))
_ANSWER = _Figure("answer, p50", "s", lambda one: one.latency, 0.5, kinds=("load", "cache"))
_EACH = _Figure("one answer", "tokens/s", stream_speed, 0.5, more_is_better=True, kinds=("load",))
_FIGURES = (
    _FIRST,
    _Figure("first token, p95", "s", lambda one: one.ttft, 0.95, kinds=("load",)),
    _ANSWER,
    _Figure("answer, p95", "s", lambda one: one.latency, 0.95, kinds=("load", "cache")),
    _Figure("answer, p99", "s", lambda one: one.latency, 0.99, kinds=("load", "cache")),
    _EACH,
    _Figure("load", "s", _alone(lambda one: one.load, "cold"), 0.5, kinds=("cold",)),
)
_PREFILL = _Figure("prompt", "tokens/s", prefill_speed, 0.5, more_is_better=True)
Both = tuple[Phase, Sequence[Sent], Sequence[Sent], bool]
"""A phase, its requests before and after, and whether these had the same prompts."""


def ratios_of(both: Both) -> list[Ratio]:
    """Return the figures of one phase that both files have."""
    phase, first, second, paired = both
    asked = [one for one in _FIGURES if phase.kind in one.kinds]
    if phase.kind == "load" and phase.callers == 1:
        asked.append(_PREFILL)
    found = [_ratio(phase.name, one, first, second, paired=paired) for one in asked]
    if phase.kind == "load":
        found.append(_together(phase.name, first, second))
    return [one for one in found if one is not None]


def over_all(phases: Sequence[Both]) -> list[Ratio]:
    """Return ratios over all load phases: what all of them do is seen where each is too noisy.

    Its mean is that of the logarithms, so that no phase counts for more than another.
    """
    loads = [one for one in phases if one[0].kind == "load"]
    found = []
    for figure in (_FIRST, _ANSWER, _EACH):
        cells: dict[int, list[float]] = {}
        for _, first, second, paired in loads:
            one, other = _shared(first, second, figure, paired=paired)
            for turn, change in _changes(one, other, paired=paired).items():
                cells.setdefault(turn, []).append(change)
        rows = [row for row in cells.values() if len(row) == len(loads)]
        if len(loads) < 3 or len(rows) < ROUNDS:
            continue
        grid = np.array(rows)
        # Rounds may differ as a whole, or each phase of each round by itself.
        by_round = grid.mean(axis=1).std(ddof=1) / len(rows) ** 0.5
        by_cell = (grid - grid.mean(axis=0)).std() * (len(rows) / (len(rows) - 1)) ** 0.5
        spread = max(float(by_round), float(by_cell) / grid.size**0.5)
        ratio = float(np.exp(grid.mean()))
        freedom = (len(rows) - 1) * len(loads) // 2
        found.append(
            Ratio(OVER_ALL, figure.name, "ratio", 1.0, ratio, ratio, spread, freedom, grid.size,
                  figure.more_is_better, all(one[3] for one in loads))
        )  # fmt: skip
    return found


def _changes(one: Keyed, other: Keyed, *, paired: bool) -> dict[int, float]:
    """Return the logarithm of after over before of each round."""
    before, after = _by_round(one), _by_round(other)
    found = {}
    for turn in before.keys() & after.keys():
        if paired:
            ratio = float(np.median([other[key] / one[key] for key in before[turn]]))
        else:
            middles = [np.median([each[key] for key in keys[turn]])
                       for each, keys in ((other, after), (one, before))]  # fmt: skip
            ratio = float(middles[0] / middles[1])
        found[turn] = float(np.log(ratio))
    return found


def _shared(
    first: Sequence[Sent], second: Sequence[Sent], figure: _Figure, *, paired: bool
) -> tuple[Keyed, Keyed]:
    one, other = _keyed(first, figure), _keyed(second, figure)
    if paired:
        common = one.keys() & other.keys()
        one, other = ({k: v for k, v in each.items() if k in common} for each in (one, other))
    return one, other


def _ratio(
    phase: str, figure: _Figure, first: Sequence[Sent], second: Sequence[Sent], *, paired: bool
) -> Ratio | None:
    one, other = _shared(first, second, figure, paired=paired)
    if not one or not other:
        return None
    share = figure.share
    before, after = (float(np.quantile(list(each.values()), share)) for each in (one, other))
    few = min(len(one), len(other))
    turns = min(len(_by_round(one)), len(_by_round(other)))
    ratio = after / before
    spread = None
    if few >= _LEAST and turns >= ROUNDS and enough(few, share):
        if paired and share == 0.5:
            ratio = float(np.median([other[key] / one[key] for key in one]))
        spread = _spread(one, other, share, paired=paired)
    return Ratio(phase, figure.name, figure.unit, before, after, ratio, spread, turns - 1, few,
                 figure.more_is_better, paired)  # fmt: skip


def _keyed(sent: Sequence[Sent], figure: _Figure) -> Keyed:
    return {
        (one.round, one.place): max(value, _TINY)
        for one in sent
        if not one.error and (value := figure.of(one)) is not None
    }


def _spread(one: Keyed, other: Keyed, share: float, *, paired: bool) -> float:
    """Return the standard error of a ratio's logarithm.

    A median's by leaving out one round at a time; a tail hangs on a few values, which that sees
    too seldom: its is by resamples.
    """
    if share != 0.5:
        return float(np.hypot(_resampled(one, share, 0), _resampled(other, share, 1)))
    if paired:  # each prompt with itself: no matter how long it is
        return _left_out({key: other[key] / one[key] for key in one}, share)
    return float(np.hypot(_left_out(one, share), _left_out(other, share)))


def _left_out(values: Keyed, share: float) -> float:
    found = []
    turns = _by_round(values)
    for left_out in turns:
        rest = [values[key] for turn, own in turns.items() if turn != left_out for key in own]
        found.append(np.log(np.quantile(rest, share)))
    return float(np.std(found) * (len(found) - 1) ** 0.5)


def _resampled(values: Keyed, share: float, seed: int) -> float:
    rounds = [np.array([values[key] for key in keys]) for keys in _by_round(values).values()]
    (drawn,) = resamples([rounds], seed, _DRAWS)
    spread = np.log(np.quantile(drawn, share, axis=1)).std(ddof=1)
    return float(spread * (len(rounds) / (len(rounds) - 1)) ** 0.5)


def _by_round(values: Mapping[tuple[int, int], float]) -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for key in sorted(values):
        found.setdefault(key[0], []).append(key)
    return found


def _together(phase: str, first: Sequence[Sent], second: Sequence[Sent]) -> Ratio | None:
    """Compare the tokens a second of all answers, of which each round has one."""
    one, other = (_sums(each) for each in (first, second))
    if not one or not other:
        return None
    before, after = sum(one) / len(one), sum(other) / len(other)
    turns, spread = min(len(one), len(other)), None
    if turns >= ROUNDS:
        spread = sum(float(np.var(np.log(each), ddof=1)) / len(each) for each in (one, other))
        spread = spread**0.5
    return Ratio(phase, "all answers", "tokens/s", before, after, after / before, spread,
                 turns - 1, min(len(first), len(second)), more_is_better=True)  # fmt: skip


def _sums(sent: Sequence[Sent]) -> list[float]:
    rounds: dict[int, list[Sent]] = {}
    for one in sent:
        if not one.error:
            rounds.setdefault(one.round, []).append(one)
    found = []
    for part in rounds.values():
        wall = max(one.at + one.latency for one in part) - min(one.at for one in part)
        if wall > 0:
            found.append(sum(one.written for one in part) / wall)
    return [one for one in found if one > 0]
