"""What the metrics say at one moment: values that anything can show. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from aegis_llm.metrics.histogram import Histogram

HITS = frozenset({"hit_local", "hit_exact", "hit_semantic", "coalesced"})


class Requests(msgspec.Struct, frozen=True):
    """How many requests ended so.

    `outcome` is that of an `Origin`, or `failed` where there was no answer (the model failed, the
    caller was cancelled, nothing was cached and `only_if_cached` forbade a call).
    """

    outcome: str
    reason: str
    framework: str
    count: int


class ModelQueue(msgspec.Struct, frozen=True):
    """The queue in front of one model on one server; `slots` is None while it is not known."""

    server: str
    model: str
    waiting: int
    in_flight: int
    slots: int | None


class CacheState(msgspec.Struct, frozen=True):
    """One cache of this process.

    `entries` are those of its namespace in the exact tier and `redis_bytes` what the whole Redis
    takes, both as of the last look (None: not known, or not to be had). `local_entries` and
    `local_bytes` are those of the copy in this process.
    """

    namespace: str
    server: str
    redis_open: bool
    embedder_open: bool
    local_entries: int
    local_bytes: int
    entries: int | None = None
    redis_bytes: int | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """The counts of this process since `started_ms`, and its queues and caches now.

    `lookups` are by where the answer was found: `local`, `exact`, `semantic`, `coalesced` (that
    one waits for an identical request) or `none`. `vetoes` are by gate, `wrong_hits` and
    `right_hits` by who found it (`reject`, `shadow`, `check`), `not_stored` by reason, `vectors`
    (texts that an embeddings adapter was asked for) by outcome. Times are milliseconds since the
    epoch.
    """

    started_ms: int
    at_ms: int
    requests: tuple[Requests, ...]
    lookups: Mapping[str, Histogram]
    queue_wait: Histogram
    vetoes: Mapping[str, int]
    not_stored: Mapping[str, int]
    wrong_hits: Mapping[str, int]
    right_hits: Mapping[str, int]
    vectors: Mapping[str, int]
    saved_tokens: int
    saved_seconds: float
    queues: tuple[ModelQueue, ...] = ()
    caches: tuple[CacheState, ...] = ()
    v: int = 1

    @property
    def outcomes(self) -> dict[str, int]:
        """How many requests had each outcome."""
        found: dict[str, int] = {}
        for one in self.requests:
            found[one.outcome] = found.get(one.outcome, 0) + one.count
        return found

    @property
    def total(self) -> int:
        """All requests."""
        return sum(one.count for one in self.requests)

    @property
    def hits(self) -> int:
        """Requests that were answered without a model call of their own."""
        return sum(one.count for one in self.requests if one.outcome in HITS)

    @property
    def hit_rate(self) -> float | None:
        """The share of hits in what was looked up (no bypass, no failure); None without any."""
        looked = self.hits + self.outcomes.get("miss", 0)
        return self.hits / looked if looked else None
