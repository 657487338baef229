"""Which of several servers a request goes to.

The one that has the beginning of its prompt, as long as that one is not much busier than the
others (bounded load); else the one with the fewest requests for its slots, of those that need not
unload another model for it as long as they are not much busier. A server that cannot be reached is
left out, for a time that doubles with each failure.
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
_DOUBLINGS = 6


class Load(NamedTuple):
    """The requests that wait or are in flight on a server, and its slots for the model asked for.

    `slots` None: not known; then it is taken to have as many as any other. `displaces` says that
    another model would be unloaded for this one.
    """

    busy: int
    slots: int | None
    displaces: bool = False

    @property
    def share(self) -> float:
        """Requests for each slot."""
        return self.busy / (self.slots or 1)


@dataclass(slots=True)
class _Server:
    models: Mapping[str, str] | None = None
    loaded: Collection[str] = ()
    failures: int = 0
    out_until: float | None = None
    asked: bool = False  # whether it answers again; the reply is not there yet
    answers: bool = False  # though it is left out until it is known what it has


@dataclass(slots=True)
class Placing:
    """What is known of the servers; each is named by its place in the list."""

    count: int
    _servers: list[_Server] = field(init=False)
    _seen: OrderedDict[tuple[str, int], int] = field(init=False, default_factory=OrderedDict)
    _turn: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._servers = [_Server() for _ in range(self.count)]

    def choose(self, job: Job, loads: Sequence[Load], avoid: Collection[int] = ()) -> int:
        """Return the server for a request; `avoid` are those that have failed it already."""
        if self.count == 1:
            return 0
        most = max(load.slots or 1 for load in loads)
        known = [load if load.slots else load._replace(slots=most) for load in loads]
        chosen = self._chosen(job, known, avoid)
        self._remember(job, chosen)
        return chosen

    def has_others(self, model: str, avoid: Collection[int]) -> bool:
        """Return whether a server with the model is in service that is not among these."""
        return any(p not in avoid and not self.is_out(p) for p in self._able(model))

    def asked_on(self, model: str) -> int:
        """Return a server on which a model may be asked beside the queue."""
        return min(self._able(model), key=self.is_out)

    def failed(self, place: int, now: float) -> bool:
        """Leave out a server that could not be reached; return whether it was in service.

        Of the many requests that find it gone only the first one counts, and then each check.
        """
        server = self._servers[place]
        was_in = server.out_until is None
        if server.out_until is not None and now < server.out_until and not server.asked:
            return False
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(server.failures, _DOUBLINGS))
        server.failures += 1
        server.out_until, server.asked, server.answers = now + pause, False, False
        if was_in:
            self._seen = OrderedDict((m, p) for m, p in self._seen.items() if p != place)
        return was_in

    def worked(self, place: int) -> bool:
        """Take a server in again that answers; return whether it had been left out."""
        server = self._servers[place]
        was_out = server.out_until is not None
        server.failures, server.out_until, server.asked = 0, None, False
        return was_out

    def answered(self, place: int) -> None:
        """Note that a server answers that is left out until it is known what it has."""
        self._servers[place].answers = True

    def to_check(self, now: float) -> list[int]:
        """Return the servers whose pause is over; ask each whether it answers."""
        due = []
        for place, server in enumerate(self._servers):
            if server.out_until is not None and server.out_until <= now:
                server.out_until, server.asked = now + _LONGEST_PAUSE_S, True
                due.append(place)
        return due

    def is_out(self, place: int) -> bool:
        """Return whether a server is left out."""
        return self._servers[place].out_until is not None

    def out(self) -> list[int]:
        """Return the servers that are left out."""
        return [place for place in range(self.count) if self.is_out(place)]

    def told(self, place: int, models: Mapping[str, str], loaded: Collection[str]) -> None:
        """Note the models of a server with their digests, and which of them are loaded."""
        self._servers[place].models = {name.casefold(): d for name, d in models.items()}
        self._servers[place].loaded = {name.casefold() for name in loaded}

    def says_nothing(self, place: int) -> None:
        """Note that a server is there, and does not say which models it has."""
        if self._servers[place].models is None:
            self._servers[place].models = {}

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
        places = [p for p in able if p not in avoid and not self.is_out(p)]
        if not places:  # whatever is left is tried: the caller gets its error, not ours
            places = [p for p in able if p not in avoid] or able
            servers = self._servers
            return min(places, key=lambda p: (not servers[p].answers, servers[p].out_until or 0.0))
        all_loads = [loads[p] for p in places]
        warm = self._warm(job)
        if warm in places and self._bounded(loads[warm], all_loads):
            return warm
        cheap = [p for p in places if not loads[p].displaces]
        if cheap and self._bounded(min((loads[p] for p in cheap), key=_share), all_loads):
            places = cheap
        self._turn += 1
        model = job.model.casefold()
        return min(
            places,
            key=lambda p: (
                loads[p].share,
                model not in self._servers[p].loaded,
                (p + self._turn) % self.count,
            ),
        )

    def _able(self, model: str) -> list[int]:
        """Return the servers that have the model, all with the same digest; all if none has.

        A server that has said nothing yet may have it, or another one of that name: it is able as
        long as none is known to have it.
        """
        model = model.casefold()
        told = [None if s.models is None else s.models.get(model, "") for s in self._servers]
        digest = next(filter(None, told), None)
        able = [place for place, one in enumerate(told) if one == digest]
        return able or list(range(self.count))

    def _warm(self, job: Job) -> int:
        """Return the server that read most of the prompt before; -1: none did."""
        for depth in range(len(job.prefix.marks), 0, -1):
            if PLACES[depth - 1] < AFFINE * job.prefix.size:
                break
            place = self._seen.get((job.model, job.prefix.marks[depth - 1]))
            if place is not None:
                return place
        return -1

    @staticmethod
    def _bounded(load: Load, loads: Sequence[Load]) -> bool:
        """Return whether a server is not much busier than the average of these."""
        slots = load.slots or 1
        if load.busy < slots:
            return True
        average = (sum(one.busy for one in loads) + 1) / sum(one.slots or 1 for one in loads)
        return (load.busy + 1) / slots <= BOUND * average

    def _remember(self, job: Job, place: int) -> None:
        for mark in job.prefix.marks:
            self._seen[job.model, mark] = place
            self._seen.move_to_end((job.model, mark))
        while len(self._seen) > _MARKS:
            self._seen.popitem(last=False)


def _share(load: Load) -> float:
    return load.share
