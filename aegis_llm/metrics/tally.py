"""Folds what happened to requests into counts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from aegis_llm.metrics.histogram import LOOKUP_S, WAIT_S, Growing
from aegis_llm.metrics.reasons import (
    framework_label,
    gate_of,
    not_stored_label,
    reason_label,
)
from aegis_llm.metrics.snapshot import HITS, Requests, Snapshot
from aegis_llm.values import Origin

_TIERS = {"hit_local": "local", "hit_exact": "exact", "hit_semantic": "semantic"}


class Book(Protocol):
    """Keeps the hits of single entries, until they are written down.

    `asleep`: nothing will be written until it is woken.
    """

    asleep: bool

    def wake(self) -> None:
        """Have what is noted from now on written soon."""

    def add(self, hits: Iterable[str]) -> None:
        """Note one hit for each id."""


class Ended(NamedTuple):
    """A request that was answered."""

    origin: Origin
    framework: str
    book: Book | None


class Failed(NamedTuple):
    """A request that ended without an answer."""

    reason: str
    framework: str


class Waited(NamedTuple):
    """A model call that went through the queue."""

    seconds: float


class Checked(NamedTuple):
    """A hit that was found right or wrong."""

    found_by: str
    right: bool


class Embedded(NamedTuple):
    """Texts that were embedded, by outcome."""

    outcome: str
    texts: int


class Tally:
    """All counts of a process; whoever adds sees to it that nobody else does."""

    def __init__(self, started_ms: int) -> None:
        self._started_ms = started_ms
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._lookups: dict[str, Growing] = {}
        self._waits = Growing(WAIT_S)
        self._vetoes: Counter[str] = Counter()
        self._not_stored: Counter[str] = Counter()
        self._checked: Counter[tuple[str, bool]] = Counter()
        self._vectors: Counter[str] = Counter()
        self._tokens = 0
        self._seconds = 0.0

    def add(self, records: Iterable[Any]) -> None:
        """Add records of the kinds above."""
        groups: dict[Any, list[Any]] = {}
        waits: list[float] = []
        for record in records:
            if type(record) is Ended:
                origin = record.origin
                group = (origin.outcome, origin.reason, record.framework, record.book)
                known = groups.get(group)
                if known is None:
                    groups[group] = [origin]
                else:
                    known.append(origin)
            elif type(record) is Waited:
                waits.append(record.seconds)
            else:
                self._other(record)
        if waits:
            self._waits.add(waits)
        for (outcome, reason, framework, book), origins in groups.items():
            self._ended(outcome, reason, framework_label(framework), origins)
            if book is not None and outcome in HITS:
                book.add(origin.entry_id for origin in origins if origin.entry_id)

    def snapshot(self, at_ms: int) -> Snapshot:
        """Return the counts, without queues and caches."""
        return Snapshot(
            started_ms=self._started_ms,
            at_ms=at_ms,
            requests=tuple(
                Requests(*labels, count) for labels, count in sorted(self._requests.items())
            ),
            lookups={tier: grown.frozen() for tier, grown in sorted(self._lookups.items())},
            queue_wait=self._waits.frozen(),
            vetoes=dict(sorted(self._vetoes.items())),
            not_stored=dict(sorted(self._not_stored.items())),
            wrong_hits=self._verdicts(right=False),
            right_hits=self._verdicts(right=True),
            vectors=dict(sorted(self._vectors.items())),
            saved_tokens=self._tokens,
            saved_seconds=self._seconds,
        )

    def _ended(self, outcome: str, reason: str, framework: str, origins: list[Origin]) -> None:
        count = len(origins)
        self._requests[outcome, reason_label(reason), framework] += count
        tier = _TIERS.get(outcome, "coalesced" if outcome == "coalesced" else "none")
        if tier not in self._lookups:
            self._lookups[tier] = Growing(LOOKUP_S)
        self._lookups[tier].add([origin.lookup_ms / 1000 for origin in origins])
        if outcome in HITS:
            self._tokens += sum([origin.saved_tokens for origin in origins])
            self._seconds += sum([origin.saved_s for origin in origins])
        elif reason:
            if gate := gate_of(reason):
                self._vetoes[gate] += count
            if unstored := not_stored_label(reason):
                self._not_stored[unstored] += count

    def _other(self, record: Failed | Checked | Embedded) -> None:
        if isinstance(record, Failed):
            framework = framework_label(record.framework)
            self._requests["failed", reason_label(record.reason), framework] += 1
        elif isinstance(record, Checked):
            self._checked[record.found_by, record.right] += 1
        else:
            self._vectors[record.outcome] += record.texts

    def _verdicts(self, *, right: bool) -> dict[str, int]:
        return {by: n for (by, was), n in sorted(self._checked.items()) if was is right}
