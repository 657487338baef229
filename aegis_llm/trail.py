"""Which documents a run of a framework has retrieved so far, from its reports of runs. Pure.

A run is begun inside another one, finds documents, and ends; what it found is then its parent's.
So a call of a model, made in some run, can ask what was found anywhere in the runs around it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

D = TypeVar("D")
_RUNS_KEPT = 16_384
_FOUND_KEPT = 10_000


class Run(Generic[D]):
    """One run that is under way, and what was found inside it by runs that ended."""

    __slots__ = ("found", "parent")

    def __init__(self, parent: Run[D] | None) -> None:
        self.parent = parent
        self.found: list[D] = []

    def add(self, found: Iterable[D]) -> None:
        """Add what a run inside this one found; beyond ten thousand the oldest are forgotten."""
        self.found.extend(found)
        if len(self.found) > _FOUND_KEPT:
            del self.found[:-_FOUND_KEPT]


class Trail(Generic[D]):
    """The runs under way in this process.

    Nothing of a run is kept after its end. One whose end is never told is forgotten when
    `most` others have begun since. Threads may report at the same time.
    """

    def __init__(self, most: int = _RUNS_KEPT) -> None:
        self._runs: dict[Hashable, Run[D]] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._runs)

    def begin(self, key: Hashable, parent: Hashable) -> None:
        """Note that a run begins, inside `parent` unless that is None or unknown."""
        runs = self._runs
        runs[key] = Run(None if parent is None else runs.get(parent))
        if len(runs) > self._most:
            self._forget_oldest()

    def found(self, key: Hashable, documents: Iterable[D]) -> None:
        """Note what a retrieving run found: this, not what those inside it found on the way."""
        run = self._runs.get(key)
        if run is not None:
            run.found = list(documents)

    def end(self, key: Hashable) -> None:
        """Note that a run ended; what it found is its parent's now."""
        run = self._runs.pop(key, None)
        if run is not None and run.parent is not None and run.found:
            run.parent.add(run.found)

    def of(self, key: Hashable) -> list[D]:
        """Return what was found in this run and in the runs around it."""
        run = None if key is None else self._runs.get(key)
        found: list[D] = []
        while run is not None:
            if run.found:
                found += run.found
            run = run.parent
        return found

    def _forget_oldest(self) -> None:
        try:
            self._runs.pop(next(iter(self._runs)), None)
        except (RuntimeError, StopIteration):  # another thread was at it: it forgets enough
            return
