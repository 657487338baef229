"""What phases say that have a question of their own: loads and shared documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aegis_llm.bench.figures import Value, by_round, prefill_speed, values
from aegis_llm.bench.statistics import Estimate, estimate, mean_of_rounds, quantile
from aegis_llm.bench.values import Sent

_LOADED_S = 0.1


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


def cold_start(place: int, sent: Sequence[Sent]) -> Cold | None:
    """Return what the cold starts took; None: there were none."""
    rounds = by_round([one for one in sent if one.phase == place and not one.error])
    cold = [[one for one in part if one.label == "cold"] for part in rounds]
    warm = [[one for one in part if one.label == "warm"] for part in rounds]
    if not any(cold):
        return None
    return Cold(
        load=_mean(cold, lambda one: one.load),
        ttft=_mean(cold, lambda one: one.ttft),
        warm_ttft=_mean(warm, lambda one: one.ttft),
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
        first=_mean(first, lambda one: one.ttft),
        later=estimate(values(later, lambda one: one.ttft), 0.5, seed),
        reused=None if reused is None else min(1.0, max(0.0, reused)),
    )


def _mean(rounds: Sequence[Sequence[Sent]], of: Value) -> Estimate | None:
    """Return the mean of what comes once a round: too few for a quantile."""
    return mean_of_rounds([value for part in values(rounds, of) for value in part])


def stays_loaded(load_s: float | None) -> bool | None:
    """Return whether a request found its model loaded; None: not told."""
    return None if load_s is None else load_s < _LOADED_S
