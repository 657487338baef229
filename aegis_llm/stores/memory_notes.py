"""What was learnt, in the memory of this process."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence

from aegis_llm.learning.ledger import LOG, Counts, Label
from aegis_llm.learning.pairs import MOST_PAIRS, Finding, room_for_approved
from aegis_llm.scheduler.forks import renew_in_child

ENTRY_ID = re.compile(r"[0-9a-f]{64}")


class MemoryNotes:
    """Pairs and labels of one `memory://` store; `take` removes an entry from it."""

    def __init__(self, take: Callable[[str], list[bytes]]) -> None:
        self._take = take
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
        return self._take(entry_id) if ENTRY_ID.fullmatch(entry_id) else []


def _shorten(known: dict[str, int], most: int) -> None:
    while len(known) > most:
        del known[next(iter(known))]


def counted(labels: Sequence[Label]) -> Counts:
    """Return how many labels said right, and how many wrong."""
    right = sum(label.right for label in labels)
    return Counts(right, len(labels) - right)
