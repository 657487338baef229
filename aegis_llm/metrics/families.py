"""The metrics as Prometheus sees them: names, helps, labels and values of a snapshot. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from aegis_llm.metrics.histogram import Histogram
from aegis_llm.metrics.snapshot import Snapshot

Labels = tuple[str, ...]
_FOUND_BY = dict.fromkeys(("check", "reject", "shadow"), 0)  # from 0 on: a rate sees the first


class Family(msgspec.Struct, frozen=True):
    """One metric with all its label values; a counter's name is without `_total`."""

    name: str
    help: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: Labels = ()
    values: tuple[tuple[Labels, float], ...] = ()
    histograms: tuple[tuple[Labels, Histogram], ...] = ()


def families(told: Snapshot) -> Iterator[Family]:
    """Yield every metric; those of which nothing is known have no values."""
    yield Family(
        "aegis_requests",
        "Requests, by where the answer came from and why not from somewhere better.",
        "counter",
        ("outcome", "reason", "framework"),
        tuple(((r.outcome, r.reason, r.framework), r.count) for r in told.requests),
    )
    yield Family(
        "aegis_lookup_seconds",
        "Time that the cache took, by the tier that had the answer (none: no tier had).",
        "histogram",
        ("tier",),
        histograms=tuple(((tier,), known) for tier, known in told.lookups.items()),
    )
    yield Family(
        "aegis_queue_wait_seconds",
        "Time that model calls waited for their turn in this process.",
        "histogram",
        histograms=(((), told.queue_wait),),
    )
    yield _counted(
        "aegis_vetoes", "Look-alikes refused, by the gate that did.", "gate", told.vetoes
    )
    yield _counted(
        "aegis_not_stored", "Answers served and not stored, by reason.", "reason", told.not_stored
    )
    yield _counted(
        "aegis_wrong_hits",
        "Hits, or would-be hits in shadow mode, found wrong: by a user, a check or in shadow.",
        "found_by",
        {**_FOUND_BY, **told.wrong_hits},
    )
    yield _counted(
        "aegis_right_hits", "Hits found right.", "found_by", {**_FOUND_BY, **told.right_hits}
    )
    yield _counted("aegis_vectors", "Texts to embed, by outcome.", "outcome", told.vectors)
    yield _one(
        "aegis_saved_tokens", "Tokens that no model computed.", "counter", told.saved_tokens
    )
    yield _one(
        "aegis_saved_seconds",
        "Time of model calls that were not made, as long as they once took.",
        "counter",
        told.saved_seconds,
    )
    yield from _queues(told)
    yield from _caches(told)


def _queues(told: Snapshot) -> Iterator[Family]:
    labels = ("server", "model")
    yield Family(
        "aegis_queue_waiting",
        "Model calls that wait in this process.",
        "gauge",
        labels,
        tuple(((q.server, q.model), q.waiting) for q in told.queues),
    )
    yield Family(
        "aegis_in_flight",
        "Model calls that this process has sent and that are not over.",
        "gauge",
        labels,
        tuple(((q.server, q.model), q.in_flight) for q in told.queues),
    )
    yield Family(
        "aegis_slots",
        "Requests that a server answers at once, once that is known.",
        "gauge",
        labels,
        tuple(((q.server, q.model), q.slots) for q in told.queues if q.slots is not None),
    )


def _caches(told: Snapshot) -> Iterator[Family]:
    caches = told.caches
    open_ = (
        (("redis",), float(any(cache.redis_open for cache in caches))),
        (("embedder",), float(any(cache.embedder_open for cache in caches))),
    )
    yield Family(
        "aegis_breaker_open",
        "1 while the part is not asked, after repeated trouble.",
        "gauge",
        ("part",),
        open_ if caches else (),
    )
    named = {(c.server, c.namespace): c.entries for c in caches if c.entries is not None}
    servers: dict[str, int] = {
        c.server: c.redis_bytes for c in caches if c.redis_bytes is not None
    }
    yield _known(
        "aegis_entries", "Entries of the exact tier, about a minute ago.", [*named.values()]
    )
    yield _known("aegis_redis_bytes", "Memory that Redis takes in all.", [*servers.values()])
    here = [cache.local_entries for cache in caches]
    yield _known("aegis_local_entries", "Entries in the copy of this process.", here)
    yield _known(
        "aegis_local_bytes", "Bytes of the copy of this process.", [c.local_bytes for c in caches]
    )


def _counted(name: str, help_: str, label: str, counts: object) -> Family:
    told = counts.items() if isinstance(counts, dict) else ()
    return Family(name, help_, "counter", (label,), tuple(((key,), n) for key, n in told))


def _one(name: str, help_: str, kind: Literal["counter", "gauge"], value: float) -> Family:
    return Family(name, help_, kind, values=(((), value),))


def _known(name: str, help_: str, values: list[int]) -> Family:
    return Family(name, help_, "gauge", values=(((), sum(values)),) if values else ())
