"""The in-process copy: a least-recently-used map of bytes, bounded in bytes and in age.

What is kept under the names of documents and tags is dropped when one of them is invalidated, and
what was read before that is no longer taken.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable

from aegis_llm.names import Names
from aegis_llm.scheduler.forks import renew_in_child

_OVERHEAD = 256  # bytes that one entry costs beside its key and value
_OF_A_NAME = 128
_NAMES_KEPT = 10_000


class LocalCopy:
    """Bytes by key, dropped when they expire or when `max_bytes` is exceeded, oldest use first.

    It keeps bytes, so every reader decodes an object of its own. `max_bytes=0` keeps nothing.
    """

    def __init__(self, max_bytes: int, max_age_s: float, monotonic: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._max_age = max_age_s
        self._now = monotonic
        self.renew()
        renew_in_child(self)
        self._items: OrderedDict[str, tuple[bytes, float, Names]] = OrderedDict()
        self._bytes = 0
        self.events = 0
        self.changed = -math.inf
        self._keys: dict[str, set[str]] = {}
        self._invalidated: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.RLock()  # garbage collection may store while this thread holds it

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        """Bytes held, the overhead included."""
        return self._bytes

    def get(self, key: str) -> bytes | None:
        """Return the bytes of `key` unless they are absent or too old."""
        item = self._items.get(key)
        if item is None:
            return None
        data, deadline, _ = item
        with self._lock:
            if self._now() >= deadline:
                self._remove(key)
                return None
            if key in self._items:
                self._items.move_to_end(key)
        return data

    def put(self, key: str, data: bytes, ttl_s: float, names: Names = (), events: int = 0) -> bool:
        """Keep `data` for `ttl_s` seconds, or the longest age if that is less.

        Returns False, and keeps nothing, when one of the names was invalidated after `events`.
        """
        size = self._size(key, data, names)
        with self._lock:
            self._remove(key)  # what was there is out of date all the same
            if names and self._since(names) > events:
                return False
            if size > self._max_bytes or ttl_s <= 0:
                return True
            self._items[key] = (data, self._now() + min(ttl_s, self._max_age), names)
            for name in names:
                self._keys.setdefault(name, set()).add(key)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._remove(next(iter(self._items)))
        return True

    def invalidate(self, names: Names) -> None:
        """Drop what is kept under one of the names, and refuse what was read until now."""
        with self._lock:
            self.changed = self._now()
            self.events += 1
            for name in names:
                self._invalidated[name] = self.events
                self._invalidated.move_to_end(name)
                for key in list(self._keys.get(name, ())):
                    self._remove(key)
            while len(self._invalidated) > _NAMES_KEPT:
                self._forgotten = self._invalidated.popitem(last=False)[1]

    def distrust(self) -> None:
        """Drop everything that has names: some of them may have been invalidated unheard."""
        with self._lock:
            self.changed = self._now()
            self.events += 1
            self._forgotten = self.events
            for key in [key for keys in self._keys.values() for key in keys]:
                self._remove(key)

    def delete(self, key: str) -> None:
        """Forget `key`."""
        with self._lock:
            self._remove(key)

    def forget(self, entry_id: str) -> None:
        """Forget an entry under every key, that of a reworded request included."""
        mark = entry_id.encode()
        for key, item in list(self._items.items()):
            if entry_id in key or mark in item[0]:
                self.delete(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._items.clear()
            self._keys.clear()
            self._bytes = 0

    def _since(self, names: Names) -> int:
        """Return the last event that may have been about one of the names."""
        return max(self._forgotten, *(self._invalidated.get(name, 0) for name in names))

    def _remove(self, key: str) -> None:
        item = self._items.pop(key, None)
        if item is None:
            return
        data, _, names = item
        self._bytes -= self._size(key, data, names)
        for name in names:
            keys = self._keys.get(name, set())
            keys.discard(key)
            if not keys:
                self._keys.pop(name, None)

    @staticmethod
    def _size(key: str, data: bytes, names: Names = ()) -> int:
        return len(key) + len(data) + _OVERHEAD + _OF_A_NAME * len(names)
