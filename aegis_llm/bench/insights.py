"""What phases say that have a question of their own: loads, shared documents, slots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

import msgspec

from aegis_llm.bench.figures import Figures, by_round, prefill_speed, values
from aegis_llm.bench.statistics import Estimate, estimate, quantile
from aegis_llm.bench.values import Phase, Sent

_WORTHWHILE = 1.1
_LOADED_S = 0.1
_WAITED = 0.1


class Cold(msgspec.Struct, frozen=True, kw_only=True):
    """The first request after the model was unloaded, beside one right behind it.

    Attributes:
        load: Seconds of its `load_duration`.
        ttft: Seconds until its first piece, `warm_ttft` of the one behind it.
    """

    load: Estimate | None = None
    ttft: Estimate | None = None
    warm_ttft: Estimate | None = None


class Prefix(msgspec.Struct, frozen=True, kw_only=True):
    """Questions about the same documents, one after the other.

    Attributes:
        first: Seconds until the first piece of the answer to the first question of a round.
        later: Likewise of the others.
        reused: Share of their prompts that was not read again, estimated from the time.
    """

    first: Estimate | None = None
    later: Estimate | None = None
    reused: float | None = None


class Level(msgspec.Struct, frozen=True):
    """What so many callers got together, tokens a second."""

    callers: int
    aggregate: float


class Knee(msgspec.Struct, frozen=True, kw_only=True):
    """How far more slots help.

    Attributes:
        slots: Most answers that were written at once, while more callers waited; None: no callers
            had to wait, or nothing was measured.
        at_least: Most that were seen at all.
        knee: Callers beyond which the sum grows by less than a tenth for a doubling.
        levels: What was measured.
        sentence: What that means.
    """

    slots: int | None = None
    at_least: int = 0
    knee: int | None = None
    levels: tuple[Level, ...] = ()
    sentence: str = ""


def cold_start(place: int, sent: Sequence[Sent], seed: int) -> Cold | None:
    """Return what the cold starts took; None: there were none."""
    rounds = by_round([one for one in sent if one.phase == place and not one.error])
    cold = [[one for one in part if one.label == "cold"] for part in rounds]
    warm = [[one for one in part if one.label == "warm"] for part in rounds]
    if not any(cold):
        return None
    return Cold(
        load=estimate(values(cold, lambda one: one.load), 0.5, seed),
        ttft=estimate(values(cold, lambda one: one.ttft), 0.5, seed),
        warm_ttft=estimate(values(warm, lambda one: one.ttft), 0.5, seed),
    )


def prefix(place: int, sent: Sequence[Sent], seed: int) -> Prefix | None:
    """Return what documents cost that were read before; None: nothing was measured."""
    rounds = by_round([one for one in sent if one.phase == place and not one.error])
    first = [[one for one in part if one.label == "cold"] for part in rounds]
    later = [[one for one in part if one.label == "warm"] for part in rounds]
    if not any(first):
        return None
    rates = [rate for part in values(first, prefill_speed) for rate in part]
    rate = quantile(rates, 0.5)
    shares = [
        1 - one.prefill * rate / one.read
        for part in later
        for one in part
        if rate and one.prefill is not None and one.read
    ]
    reused = quantile(shares, 0.5)
    return Prefix(
        first=estimate(values(first, lambda one: one.ttft), 0.5, seed),
        later=estimate(values(later, lambda one: one.ttft), 0.5, seed),
        reused=None if reused is None else min(1.0, max(0.0, reused)),
    )


def knee(phases: Sequence[Phase], found: Sequence[Figures]) -> Knee:
    """Return how the sum of all answers grows with the callers, straight to the server."""
    plain = [
        (phase, one)
        for phase, one in zip(phases, found, strict=True)
        if phase.kind == "load" and phase.way == "around" and one.aggregate is not None
    ]
    at_least = max((one.at_once or 0 for _, one in plain), default=0)
    # Callers who waited while fewer answers were written than they are had no slot.
    waited = [phase.callers for phase, one in plain if _waited(one)]
    slots = at_least if waited and max(waited) > at_least > 0 else None
    levels: dict[int, float] = {}
    for phase, one in plain:
        if not phase.mixed and one.aggregate is not None:
            same = levels.get(phase.callers, 0.0)
            levels[phase.callers] = max(same, one.aggregate.value)
    listed = tuple(Level(callers, levels[callers]) for callers in sorted(levels))
    bend = _bend(listed)
    return Knee(
        slots=slots,
        at_least=at_least,
        knee=bend,
        levels=listed,
        sentence=_sentence(listed, slots, at_least, bend),
    )


def stays_loaded(load_s: float | None) -> bool | None:
    """Return whether a request found its model loaded; None: not told."""
    return None if load_s is None else load_s < _LOADED_S


def _waited(one: Figures) -> bool:
    if one.wait is None or one.latency is None:
        return False
    return one.wait.p95.value > _WAITED * one.latency.p50.value


def _bend(levels: Sequence[Level]) -> int | None:
    """Return the least level from which on no doubling gives a tenth more."""
    if len(levels) < 2:
        return None
    for n, one in enumerate(levels):
        better = [
            later
            for later in levels[n + 1 :]
            if later.aggregate >= one.aggregate * _WORTHWHILE
            ** max(1.0, _doublings(one.callers, later.callers))
        ]  # fmt: skip
        if not better:
            return one.callers
    return levels[-1].callers


def _doublings(few: int, many: int) -> float:
    return log2(many / few)


def _sentence(levels: Sequence[Level], slots: int | None, at_least: int, bend: int | None) -> str:
    if not levels or bend is None:
        return "Too few levels were measured to say where more callers stop to help."
    best = max(levels, key=lambda one: one.aggregate)
    gain = best.aggregate / levels[0].aggregate
    said = f"From {levels[0].callers} to {best.callers} callers the sum grows {gain:.2f} times; "
    if bend == levels[-1].callers:
        said += f"{bend} is the most that was measured. "
    else:
        said += f"beyond {bend} it hardly does. "
    if slots is None:
        return said + (
            f"At least {at_least} answers were written at once: the server has that many slots or "
            "more."
        )
    said += f"{slots} {'answer was' if slots == 1 else 'answers were'} written at once at most. "
    if bend < slots:
        return said + (
            f"More than {bend} slots bring nothing here: OLLAMA_NUM_PARALLEL={bend} gives the same "
            "with less memory."
        )
    return said + (
        f"So the server has {slots}, and they are used: whether more would help is seen only with "
        f"a higher OLLAMA_NUM_PARALLEL; measure again with {2 * slots}."
    )
