"""The hits by meaning of late, so that a user can reject one by its entry alone."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from aegis_llm.plan import Match
from aegis_llm.scheduler.forks import renew_in_child

_MOST = 2_000
_EACH = 8  # pairs remembered for one entry


class RecentHits:
    """Pairs of questions by entry, the least recently used dropped."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._hits: OrderedDict[str, deque[Match]] = OrderedDict()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.Lock()

    def __contains__(self, entry_id: object) -> bool:
        return entry_id in self._hits

    def add(self, match: Match) -> None:
        """Remember a hit."""
        with self._lock:
            hits = self._hits.setdefault(match.entry.key, deque(maxlen=_EACH))
            self._hits.move_to_end(match.entry.key)
            hits.append(match)
            while len(self._hits) > self._most:
                self._hits.popitem(last=False)

    def of(self, entry_id: str) -> list[Match]:
        """Return the hits of an entry."""
        with self._lock:
            return list(self._hits.get(entry_id, ()))

    def forget(self, entry_id: str) -> None:
        """Forget an entry."""
        with self._lock:
            self._hits.pop(entry_id, None)
