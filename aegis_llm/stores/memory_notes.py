"""What was learnt, in the memory of this process."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence

from aegis_llm.learning.ledger import LOG, Counts, Label
from aegis_llm.learning.pairs import MOST_PAIRS, PairVerdict
from aegis_llm.scheduler.forks import renew_in_child

ENTRY_ID = re.compile(r"[0-9a-f]{64}")


class MemoryNotes:
    """Pairs and labels of one `memory://` store; `take` removes an entry from it."""

    def __init__(self, take: Callable[[str], list[bytes]]) -> None:
        self._take = take
        self._pairs: dict[str, tuple[PairVerdict, int]] = {}
        self._counts = Counts()
        self._log: list[Label] = []
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.Lock()

    def write(
        self, pairs: Mapping[str, PairVerdict], labels: Sequence[Label], now_ms: int
    ) -> None:
        """Add verdicts and labels."""
        with self._lock:
            for pair, verdict in pairs.items():
                known = self._pairs.get(pair)
                if known is None or known[0] != "different":
                    self._pairs[pair] = (verdict, now_ms)
            while len(self._pairs) > MOST_PAIRS:
                del self._pairs[next(iter(self._pairs))]
            self._log = [*self._log, *labels][-LOG:]
            self._counts += counted(labels)

    def pairs(self, since_ms: int) -> dict[str, PairVerdict]:
        """Return the verdicts since a time."""
        with self._lock:
            return {pair: told for pair, (told, at_ms) in self._pairs.items() if at_ms >= since_ms}

    def labels(self) -> tuple[Counts, Counts, list[Label]]:
        """Return the counts, here those of all namespaces too, and the last labels."""
        with self._lock:
            return self._counts, self._counts, list(self._log)

    def remove(self, entry_id: str) -> list[bytes]:
        """Delete an entry."""
        return self._take(entry_id) if ENTRY_ID.fullmatch(entry_id) else []


def counted(labels: Sequence[Label]) -> Counts:
    """Return how many labels said right, and how many wrong."""
    right = sum(label.right for label in labels)
    return Counts(right, len(labels) - right)
