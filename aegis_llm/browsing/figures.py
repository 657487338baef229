"""The figures of serving processes, read from what they show to Prometheus. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

_SAMPLE = re.compile(r"(aegis_\w+)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+\S+)?\s*")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MOST = 2.0**63  # no count of ours is more, or less than none
_HITS = frozenset({"hit_local", "hit_exact", "hit_semantic", "coalesced"})
_COALESCED = "coalesced"
Buckets = dict[float, float]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the processes began, and their queues now; None: not told.

    `lookup` and `wait` count, for each bound in seconds, what took no longer; what waited for an
    identical request is no look-up. `breaker_open` is how many parts are left alone.
    """

    outcomes: dict[str, float] = {}
    lookup: Buckets = {}
    wait: Buckets = {}
    vetoes: dict[str, float] = {}
    wrong_hits: float | None = None
    saved_s: float | None = None
    saved_tokens: float | None = None
    waiting: float | None = None
    in_flight: float | None = None
    slots: float | None = None
    breaker_open: float | None = None

    @property
    def requests(self) -> float:
        """All requests."""
        return sum(self.outcomes.values())

    @property
    def hits(self) -> float:
        """Requests that were answered without a model call of their own."""
        return sum(count for name, count in self.outcomes.items() if name in _HITS)

    @property
    def hit_rate(self) -> float | None:
        """The share of hits in what was looked up; None without any."""
        looked = self.hits + self.outcomes.get("miss", 0)
        return self.hits / looked if looked else None

    def since(self, before: Figures) -> Figures:
        """Return what was counted after an earlier reading; one that began anew counts whole."""
        if any(self.outcomes.get(name, 0) < count for name, count in before.outcomes.items()):
            return self
        return msgspec.structs.replace(
            self,
            outcomes=_less(self.outcomes, before.outcomes),
            lookup=_less(self.lookup, before.lookup),
            wait=_less(self.wait, before.wait),
            vetoes=_less(self.vetoes, before.vetoes),
            saved_s=None if self.saved_s is None else self.saved_s - (before.saved_s or 0),
        )


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return the seconds within which that share was done, as Prometheus would estimate it."""
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank = share * buckets[bounds[-1]]
    below, under = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= rank and count > under:
            if math.isinf(bound):
                return below
            return below + (bound - below) * (rank - under) / (count - under)
        below, under = bound, count
    return below


def figures_of(text: str) -> Figures:
    """Read an exposition; what is not of this package, or is broken, is left out."""
    sums: dict[str, float] = {}
    by: dict[str, dict[str, float]] = {"outcome": {}, "gate": {}}
    buckets: dict[str, Buckets] = {"aegis_lookup_seconds": {}, "aegis_queue_wait_seconds": {}}
    for name, labels, value in _samples(text):
        if name.endswith("_bucket"):
            found = buckets.get(name.removesuffix("_bucket"))
            bound = _number(labels.get("le", ""))
            if found is not None and bound is not None and labels.get("tier") != _COALESCED:
                found[bound] = found.get(bound, 0) + value
            continue
        sums[name] = sums.get(name, 0) + value
        for kind, whose in (("outcome", "aegis_requests_total"), ("gate", "aegis_vetoes_total")):
            if name == whose and kind in labels:
                by[kind][labels[kind]] = by[kind].get(labels[kind], 0) + value
    return Figures(
        outcomes=by["outcome"],
        lookup=buckets["aegis_lookup_seconds"],
        wait=buckets["aegis_queue_wait_seconds"],
        vetoes=by["gate"],
        wrong_hits=sums.get("aegis_wrong_hits_total"),
        saved_s=sums.get("aegis_saved_seconds_total"),
        saved_tokens=sums.get("aegis_saved_tokens_total"),
        waiting=sums.get("aegis_queue_waiting"),
        in_flight=sums.get("aegis_in_flight"),
        slots=sums.get("aegis_slots"),
        breaker_open=sums.get("aegis_breaker_open"),
    )


def figures_of_snapshot(told: Any) -> Figures:
    """Return the figures of a snapshot of the metrics of this process."""
    known = [queue.slots for queue in told.queues if queue.slots is not None]
    lookups = [one for tier, one in told.lookups.items() if tier != _COALESCED]
    return Figures(
        outcomes={name: float(count) for name, count in told.outcomes.items()},
        lookup=_buckets(lookups),
        wait=_buckets([told.queue_wait]),
        vetoes={name: float(count) for name, count in told.vetoes.items()},
        wrong_hits=float(sum(told.wrong_hits.values())),
        saved_s=told.saved_seconds,
        saved_tokens=float(told.saved_tokens),
        waiting=float(sum(queue.waiting for queue in told.queues)) if told.queues else None,
        in_flight=float(sum(queue.in_flight for queue in told.queues)) if told.queues else None,
        slots=float(sum(known)) if known else None,
        breaker_open=float(
            any(cache.redis_open for cache in told.caches)
            + any(cache.embedder_open for cache in told.caches)
        )
        if told.caches
        else None,
    )


def _buckets(histograms: Iterable[Any]) -> Buckets:
    sums: Buckets = {}
    for histogram in histograms:
        for bound, count in histogram.cumulative():
            sums[float(bound)] = sums.get(float(bound), 0) + count
    return sums


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        value = _number(found[3]) if found else None
        if found is not None and value is not None and 0 <= value <= _MOST:
            yield found[1], dict(_LABEL.findall(found[2] or "")), value


def _number(text: str) -> float | None:
    try:
        value = float(text.replace("Inf", "inf"))
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _less(now: Mapping[Any, float], before: Mapping[Any, float]) -> dict[Any, float]:
    return {name: value - before.get(name, 0) for name, value in now.items()}
