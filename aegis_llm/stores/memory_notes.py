"""What was learnt, in the memory of this process."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from aegis_llm.learning.ledger import LOG, Counts, Label
from aegis_llm.learning.pairs import MOST_PAIRS, Finding, room_for_approved
from aegis_llm.metrics.usage import MOST_USED, Usage
from aegis_llm.scheduler.forks import renew_in_child

ENTRY_ID = re.compile(r"[0-9a-f]{64}")


def _no_size() -> tuple[int, int]:
    return 0, 0


class MemoryNotes:
    """Pairs, labels and hits of one `memory://` store; `take` removes an entry from it."""

    def __init__(
        self, take: Callable[[str], list[bytes]], size: Callable[[], tuple[int, int]] = _no_size
    ) -> None:
        self._take = take
        self._size = size
        self.hits: dict[str, Usage] = {}
        self._pairs: dict[Finding, dict[str, int]] = {
            "approved": {},
            "refused": {},
            "rejected": {},
        }
        self._counts = Counts()
        self._log: list[Label] = []
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.Lock()

    def write(self, pairs: Mapping[str, Finding], labels: Sequence[Label], now_ms: int) -> None:
        """Add findings and labels."""
        with self._lock:
            for name, finding in pairs.items():
                self._pairs[finding].pop(name, None)
                self._pairs[finding][name] = now_ms
            refused, rejected = self._pairs["refused"], self._pairs["rejected"]
            for known in (refused, rejected):
                _shorten(known, MOST_PAIRS)
            left = room_for_approved(len(refused), len(rejected), MOST_PAIRS)
            _shorten(self._pairs["approved"], left)
            self._log = [*self._log, *labels][-LOG:]
            self._counts += counted(labels)

    def pairs(self, since_ms: int) -> dict[str, Finding]:
        """Return the findings since a time; of two under one name, the user's."""
        with self._lock:
            return {
                name: finding
                for finding, known in self._pairs.items()
                for name, at_ms in known.items()
                if at_ms >= since_ms
            }

    def labels(self) -> tuple[Counts, Counts, list[Label]]:
        """Return the counts, here those of all namespaces too, and the last labels."""
        with self._lock:
            return self._counts, self._counts, list(self._log)

    def remove(self, entry_id: str) -> list[bytes]:
        """Delete an entry."""
        self.forget_hits([entry_id])
        return self._take(entry_id) if ENTRY_ID.fullmatch(entry_id) else []

    def add_hits(self, hits: Mapping[str, int], now_ms: int, keep_ms: int) -> None:
        """Count hits of entries, used now; drop what was not used for `keep_ms`."""
        with self._lock:
            for entry_id, count in hits.items():
                known = self.hits.pop(entry_id, Usage(0, 0))
                self.hits[entry_id] = Usage(known.hits + count, now_ms)
            old = [id_ for id_, one in self.hits.items() if one.used_ms < now_ms - keep_ms]
            for entry_id in old:
                del self.hits[entry_id]
            _shorten(self.hits, MOST_USED)

    def forget_hits(self, ids: Iterable[str] | None = None) -> None:
        """Forget the hits of entries, or of all."""
        with self._lock:
            for entry_id in list(self.hits) if ids is None else ids:
                self.hits.pop(entry_id, None)

    def size(self) -> tuple[int | None, int | None]:
        """Return how many entries there are, and their bytes."""
        return self._size()


def _shorten(known: dict[str, Any], most: int) -> None:
    while len(known) > most:
        del known[next(iter(known))]


def counted(labels: Sequence[Label]) -> Counts:
    """Return how many labels said right, and how many wrong."""
    right = sum(label.right for label in labels)
    return Counts(right, len(labels) - right)
