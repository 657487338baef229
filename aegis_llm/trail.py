"""Which documents a run of a framework has retrieved so far, from its reports of runs. Pure.

A run is begun inside another one, finds documents, and ends; what it found is then its parent's.
So a call of a model, made in some run, can ask what was found anywhere in the runs around it,
and since when: an invalidation after that moment may have been of what was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

D = TypeVar("D")
_RUNS_KEPT = 16_384
_FOUND_KEPT = 10_000


class Run(Generic[D]):
    """One run that is under way, and what was found inside it by runs that ended."""

    __slots__ = ("begun", "found", "parent", "since")

    def __init__(self, parent: Run[D] | None, begun: float) -> None:
        self.parent = parent
        self.begun = begun
        self.since = math.inf
        self.found: list[D] = []

    def add(self, found: Iterable[D], since: float) -> None:
        """Add what a run inside this one found; beyond ten thousand the oldest are forgotten."""
        self.since = min(self.since, since)
        self.found.extend(found)
        if len(self.found) > _FOUND_KEPT:
            del self.found[:-_FOUND_KEPT]


class Trail(Generic[D]):
    """The runs under way in this process.

    Nothing of a run is kept after its end. One whose end is never told is forgotten when
    `most` others have begun since. Threads may report at the same time. `now` is the clock.
    """

    def __init__(self, now: Callable[[], float], most: int = _RUNS_KEPT) -> None:
        self._now = now
        self._runs: dict[Hashable, Run[D]] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, key: Hashable, parent: Hashable) -> None:
        """Note that a run begins, inside `parent` unless that is None or unknown."""
        runs = self._runs
        runs[key] = Run(None if parent is None else runs.get(parent), self._now())
        if len(runs) > self._most:
            self._forget_oldest()

    def found(self, key: Hashable, documents: Iterable[D]) -> None:
        """Note what a retrieving run found: this, not what those inside it found on the way."""
        run = self._runs.get(key)
        if run is not None:
            run.found, run.since = list(documents), run.begun

    def end(self, key: Hashable) -> None:
        """Note that a run ended; what it found is its parent's now."""
        run = self._runs.pop(key, None)
        if run is not None and run.parent is not None and run.found:
            run.parent.add(run.found, run.since)

    def of(self, key: Hashable) -> list[D]:
        """Return what was found in this run and in the runs around it."""
        run = None if key is None else self._runs.get(key)
        found: list[D] = []
        while run is not None:
            if run.found:
                found += run.found
            run = run.parent
        return found

    def since(self, key: Hashable) -> float:
        """Return when the first run began that found some of that; infinite when none did."""
        run = None if key is None else self._runs.get(key)
        since = math.inf
        while run is not None:
            if run.found:
                since = min(since, run.since)
            run = run.parent
        return since

    def _forget_oldest(self) -> None:
        try:
            self._runs.pop(next(iter(self._runs)), None)
        except (RuntimeError, StopIteration):  # another thread was at it: it forgets enough
            return
