"""What a process knows of the invalidations in its namespace, now and at moments that are past."""

from __future__ import annotations

import math
import threading
from collections import deque

from aegis_llm.plan import State
from aegis_llm.ports import Store
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.stores.local import LocalCopy

_MOST = 1024
_FORGOTTEN = State(version=-1)  # unlike any other: nothing that old is stored


class Known:
    """The state of a store and of its local copy.

    A change is noted when the state is asked for, with the time of the last one. So what `at` says
    was true at that moment, and perhaps more was: then an answer is stored once too little.
    """

    def __init__(self, store: Store, local: LocalCopy) -> None:
        self._store = store
        self._local = local
        self._last = State()
        self._past = deque([(-math.inf, self._last)], _MOST)
        self.renew()
        renew_in_child(self)
        self()

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.RLock()

    def __call__(self) -> State:
        """Return what is known now, without asking anybody."""
        numbers, events, last = self._store.numbers, self._local.events, self._last
        if numbers == (last.version, last.sequence) and events == last.events:
            return last
        changed = max(self._store.changed, self._local.changed)  # read after what changed
        with self._lock:
            self._last = State(*numbers, events)
            self._past.append((changed, self._last))
        return State(*numbers, events)

    def at(self, moment: float) -> State:
        """Return what was known at a moment of the monotonic clock."""
        with self._lock:
            for since, state in reversed(self._past):
                if since <= moment:
                    return state
        return _FORGOTTEN
