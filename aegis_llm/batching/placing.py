"""Which of several servers a request goes to.

The one that has the beginning of its prompt, as long as that one is not much busier than the
others (bounded load); else the one with the fewest requests for its slots. A server that cannot be
reached is left out, for a time that doubles with each failure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aegis_llm.batching.jobs import Job
from aegis_llm.batching.prefix import PLACES

AFFINE = 0.5
"""Share of a prompt that a server must have read before to be preferred."""
BOUND = 1.25
"""How many times the average load a server may have and still be preferred."""
_MARKS = 16_384
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0


class Load(NamedTuple):
    """The requests that wait or are in flight, and the slots of a server (1 while unknown)."""

    busy: int
    slots: int

    @property
    def share(self) -> float:
        """Requests for each slot."""
        return self.busy / self.slots


@dataclass(slots=True)
class _Server:
    models: Mapping[str, str] | None = None
    loaded: Collection[str] = ()
    failures: int = 0
    out_until: float | None = None


@dataclass(slots=True)
class Placing:
    """What is known of the servers; each is named by its place in the list."""

    count: int
    _servers: list[_Server] = field(init=False)
    _seen: OrderedDict[int, int] = field(init=False, default_factory=OrderedDict)
    _turn: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._servers = [_Server() for _ in range(self.count)]

    def choose(self, job: Job, loads: Sequence[Load], avoid: Collection[int] = ()) -> int:
        """Return the server for a request; `avoid` are those that have failed it already."""
        chosen = 0 if self.count == 1 else self._chosen(job, loads, avoid)
        if self.count > 1:
            self._remember(job, chosen)
        return chosen

    def has_others(self, model: str, avoid: Collection[int]) -> bool:
        """Return whether a server with the model is in service that is not among these."""
        return any(
            self._servers[place].out_until is None
            for place in self._able(model)
            if place not in avoid
        )

    def failed(self, place: int, now: float) -> None:
        """Leave out a server that could not be reached."""
        server = self._servers[place]
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**server.failures)
        server.failures += 1
        server.out_until = now + pause
        self._seen = OrderedDict((m, p) for m, p in self._seen.items() if p != place)

    def worked(self, place: int) -> bool:
        """Take a server in again that answers; return whether it had been left out."""
        server = self._servers[place]
        was_out = server.out_until is not None
        server.failures, server.out_until = 0, None
        return was_out

    def to_check(self, now: float) -> list[int]:
        """Return the servers whose pause is over; ask each whether it answers."""
        due = []
        for place, server in enumerate(self._servers):
            if server.out_until is not None and server.out_until <= now:
                server.out_until = now + _LONGEST_PAUSE_S  # while it is being asked
                due.append(place)
        return due

    def out(self) -> list[int]:
        """Return the servers that are left out."""
        return [p for p, server in enumerate(self._servers) if server.out_until is not None]

    def told(self, place: int, models: Mapping[str, str], loaded: Collection[str]) -> None:
        """Note the models of a server with their digests, and which of them are loaded."""
        self._servers[place].models = models
        self._servers[place].loaded = loaded

    def digests(self) -> dict[str, str]:
        """Return the digest of each model: that of the first server that has it."""
        found: dict[str, str] = {}
        for server in self._servers:
            for model, digest in (server.models or {}).items():
                found.setdefault(model, digest)
        return found

    def odd(self) -> dict[str, list[int]]:
        """Return the models whose digest is not the same everywhere, and the servers left out."""
        digests = self.digests()
        odd: dict[str, list[int]] = {}
        for place, server in enumerate(self._servers):
            for model, digest in (server.models or {}).items():
                if digest != digests[model]:
                    odd.setdefault(model, []).append(place)
        return odd

    def _chosen(self, job: Job, loads: Sequence[Load], avoid: Collection[int]) -> int:
        able = self._able(job.model)
        places = [p for p in able if p not in avoid and self._servers[p].out_until is None]
        if not places:  # whatever is left is tried: the caller gets its error, not ours
            places = [p for p in able if p not in avoid] or able
            return min(places, key=lambda p: self._servers[p].out_until or 0.0)
        warm = self._warm(job)
        if warm in places and self._bounded(loads[warm], loads):
            return warm
        self._turn += 1
        return min(
            places,
            key=lambda p: (
                loads[p].share,
                job.model not in self._servers[p].loaded,
                (p + self._turn) % self.count,
            ),
        )

    def _able(self, model: str) -> list[int]:
        """Return the servers that have the model, all with the same digest; all if none has."""
        digest = self.digests().get(model)
        able = [
            place
            for place, server in enumerate(self._servers)
            if server.models is None or server.models.get(model) == digest is not None
        ]
        return able or list(range(self.count))

    def _warm(self, job: Job) -> int:
        """Return the server that read most of the prompt before; -1: none did."""
        for depth in range(len(job.prefix.marks), 0, -1):
            if PLACES[depth - 1] < AFFINE * job.prefix.size:
                break
            place = self._seen.get(job.prefix.marks[depth - 1])
            if place is not None:
                return place
        return -1

    @staticmethod
    def _bounded(load: Load, loads: Sequence[Load]) -> bool:
        if load.busy < load.slots:
            return True
        average = (sum(one.busy for one in loads) + 1) / sum(one.slots for one in loads)
        return (load.busy + 1) / load.slots <= BOUND * average

    def _remember(self, job: Job, place: int) -> None:
        for mark in job.prefix.marks:
            self._seen[mark] = place
            self._seen.move_to_end(mark)
        while len(self._seen) > _MARKS:
            self._seen.popitem(last=False)
