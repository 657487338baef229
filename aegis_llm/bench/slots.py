"""How many slots a server has, and how far more of them help. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import msgspec

from aegis_llm.bench.figures import Figures
from aegis_llm.bench.statistics import Estimate
from aegis_llm.bench.values import Phase, Way
from aegis_llm.bench.ways import shown_way

_WORTHWHILE = 1.1
_WAITED = 0.1


class Level(msgspec.Struct, frozen=True):
    """What so many callers got together, tokens a second."""

    callers: int
    together: Estimate


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """How far more slots help.

    Attributes:
        slots: Most answers that were written at once, while more callers waited; None: no callers
            had to wait, or nothing was measured.
        at_least: Most that were seen at all.
        knee: Callers beyond which the sum grows by less than a tenth for a doubling.
        sure: Whether that is more than noise: the intervals of all levels agree.
        levels: What was measured.
        sentence: What that means.
    """

    slots: int | None = None
    at_least: int = 0
    knee: int | None = None
    sure: bool = False
    levels: tuple[Level, ...] = ()
    sentence: str = ""


def knee(phases: Sequence[Phase], found: Sequence[Figures]) -> Knee:
    """Return how the sum of all answers grows with the callers.

    Straight to the server, or where nothing went there through the package; that sends no more
    requests than it takes for slots, so the slots themselves are not seen then.
    """
    way = shown_way(phases)
    plain = [
        (phase, one)
        for phase, one in zip(phases, found, strict=True)
        if phase.kind == "load" and phase.way == way and one.aggregate is not None
    ]
    at_least = max((one.at_once or 0 for _, one in plain), default=0)
    # Callers who waited while fewer answers were written than they are had no slot.
    waited = [phase.callers for phase, one in plain if _waited(one)]
    slots = at_least if waited and max(waited) > at_least > 0 and way == "around" else None
    levels: dict[int, Estimate] = {}
    for phase, one in plain:
        same = levels.get(phase.callers)
        if phase.mixed or one.aggregate is None:
            continue
        if same is None or one.aggregate.n > same.n or one.aggregate.value > same.value:
            levels[phase.callers] = one.aggregate
    listed = tuple(Level(callers, levels[callers]) for callers in sorted(levels))
    bend = _bend(listed)
    sure = bend is not None and _sure(listed, bend)
    return Knee(
        slots=slots,
        at_least=at_least,
        knee=bend,
        sure=sure,
        levels=listed,
        sentence=_sentence(listed, slots, at_least, bend, sure=sure, way=way),
    )


def _waited(one: Figures) -> bool:
    if one.wait is None or one.latency is None:
        return False
    return one.wait.p95.value > _WAITED * one.latency.p50.value


def _bend(levels: Sequence[Level]) -> int | None:
    """Return the least level from which on no doubling gives a tenth more."""
    if len(levels) < 2:
        return None
    for n, one in enumerate(levels):
        least = one.together.value
        if not any(
            later.together.value >= least * _gain(one.callers, later.callers)
            for later in levels[n + 1 :]
        ):
            return one.callers
    return levels[-1].callers


def _sure(levels: Sequence[Level], bend: int) -> bool:
    """Return whether no level beyond may, by its interval, give more after all."""
    if any(one.together.low is None for one in levels):
        return False
    here = next(one for one in levels if one.callers == bend)
    return all(
        (later.together.high or 0.0) < here.together.value * _gain(bend, later.callers)
        for later in levels
        if later.callers > bend
    )


def _gain(few: int, many: int) -> float:
    return float(_WORTHWHILE ** max(1.0, log2(many / few)))


def _sentence(
    levels: Sequence[Level], slots: int | None, at_least: int, bend: int | None, *, sure: bool,
    way: Way,
) -> str:  # fmt: skip
    if not levels or bend is None:
        return "Too few levels were measured to say where more callers stop to help."
    first = levels[0]
    best = max(levels, key=lambda one: one.together.value)
    said = f"Tokens a second of all answers together are highest with {best.callers} callers"
    if best is first:
        said = "More callers bring no more tokens a second"
    else:
        said += f", {best.together.value / first.together.value:.2f} times those of "
        said += f"{first.callers}"
    if best is not first and bend != levels[-1].callers:
        said += f"; beyond {bend} they hardly grow"
    said += ". "
    if way == "through":
        return said + (
            f"{at_least} answers were written at once at most; how many slots the server has is "
            "seen only around the package (--way around)."
        )
    if slots is None:
        return said + (
            f"At least {at_least} answers were written at once: the server has that many slots or "
            "more."
        )
    said += f"{slots} {'answer was' if slots == 1 else 'answers were'} written at once at most. "
    if bend >= slots:
        return said + (
            "All slots are used: whether more of them would help is seen only with a higher "
            f"OLLAMA_NUM_PARALLEL; measure again with {2 * slots}."
        )
    if not sure:
        return said + "Whether fewer slots would do is not sure: the rounds differ, or are few."
    return said + (
        f"More than {bend} {'slot brings' if bend == 1 else 'slots bring'} nothing here: "
        f"OLLAMA_NUM_PARALLEL={bend} gives the same with less memory."
    )
