"""Counts what happens to requests, in cells of one writer each, and adds the cells up. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from aegis_llm.metrics.histogram import LOOKUP_S, WAIT_S, Histogram
from aegis_llm.metrics.reasons import (
    FRAMEWORKS,
    gate_of,
    reason_label,
)
from aegis_llm.metrics.snapshot import HITS, Requests, Snapshot
from aegis_llm.values import Origin

_TIERS = {
    "hit_local": "local", "hit_exact": "exact", "hit_semantic": "semantic",
    "coalesced": "coalesced",
}  # fmt: skip
LOOKUP_MS = [1000 * bound for bound in LOOKUP_S]
MS, TOKENS, SECONDS, BUCKETS = range(4)
"""What a row holds; its buckets follow."""
_EMPTY = [0.0, 0, 0.0, *[0] * (len(LOOKUP_S) + 1)]
Key = tuple[str, str, str]
NOT_STORED, WRONG, RIGHT, VECTORS = "not_stored", "wrong", "right", "vectors"


class Cell:
    """The counts of one thread, which alone adds to them.

    An addition is a few steps of the interpreter, between which neither another thread nor a
    finalizer writes to the same place; others may read at any time.
    """

    __slots__ = ("counts", "rows", "waited_s", "waits")

    def __init__(self) -> None:
        self.rows: dict[Key, list[float]] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.waits = [0] * (len(WAIT_S) + 1)
        self.waited_s = 0.0

    def add(self, kind: str, label: str, count: int = 1) -> None:
        """Count something that has no histogram."""
        key = (kind, label)
        self.counts.setdefault(key, 0)
        self.counts[key] += count  # no call in it, after which a finalizer may run

    def waited(self, seconds: float) -> None:
        """Count a wait in the queue."""
        self.waits[bisect_left(WAIT_S, seconds)] += 1
        self.waited_s += seconds

    def row(self, origin: Origin, framework: str) -> list[float]:
        """Return the row of a request whose reason is told the first time, or in many words."""
        label = reason_label(origin.reason)
        key = (origin.outcome, label, framework if framework in FRAMEWORKS else "")
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = list(_EMPTY)
        return row


class Totals:
    """The sums of cells."""

    def __init__(self) -> None:
        self._rows: dict[Key, list[float]] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._waits = [0] * (len(WAIT_S) + 1)
        self._waited_s = 0.0

    def add(self, cell: Cell) -> None:
        """Add a cell, as it is now."""
        for key, row in cell.rows.copy().items():  # a copy in one step: its thread goes on
            self._rows[key] = _sum(self._rows.get(key, _EMPTY), list(row))
        self._counts.update(cell.counts.copy())
        self._waits = [*map(int, _sum(self._waits, list(cell.waits)))]
        self._waited_s += cell.waited_s

    def copy(self) -> Totals:
        """Return totals that can be added to apart from these."""
        other = Totals()
        other._rows = dict(self._rows)
        other._counts = Counter(self._counts)
        other._waits, other._waited_s = self._waits, self._waited_s
        return other

    def snapshot(self, started_ms: int, at_ms: int) -> Snapshot:
        """Return the counts, without queues and caches."""
        counted = {key: int(sum(row[BUCKETS:])) for key, row in sorted(self._rows.items())}
        vetoes: Counter[str] = Counter()
        for (outcome, reason, _), count in counted.items():
            if outcome == "miss" and (gate := gate_of(reason)):
                vetoes[gate] += count
        hits = [row for (outcome, *_), row in self._rows.items() if outcome in HITS]
        return Snapshot(
            started_ms=started_ms,
            at_ms=at_ms,
            requests=tuple(
                Requests(outcome, reason, framework or "none", count)
                for (outcome, reason, framework), count in counted.items()
            ),
            lookups=self._lookups(),
            queue_wait=Histogram(WAIT_S, tuple(self._waits), self._waited_s),
            vetoes=dict(sorted(vetoes.items())),
            not_stored=self._told(NOT_STORED),
            wrong_hits=self._told(WRONG),
            right_hits=self._told(RIGHT),
            vectors=self._told(VECTORS),
            saved_tokens=int(sum(row[TOKENS] for row in hits)),
            saved_seconds=float(sum(row[SECONDS] for row in hits)),
        )

    def _lookups(self) -> dict[str, Histogram]:
        tiers: dict[str, Sequence[float]] = {}
        for (outcome, *_), row in self._rows.items():
            if outcome != "failed":
                tier = _TIERS.get(outcome, "none")
                tiers[tier] = _sum(tiers.get(tier, _EMPTY), row)
        return {
            tier: Histogram(LOOKUP_S, tuple(map(int, row[BUCKETS:])), row[MS] / 1000)
            for tier, row in sorted(tiers.items())
        }

    def _told(self, wanted: str) -> dict[str, int]:
        return {label: n for (kind, label), n in sorted(self._counts.items()) if kind == wanted}


def _sum(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]
