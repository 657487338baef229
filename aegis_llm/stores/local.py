"""The in-process copy: a least-recently-used map of bytes, bounded in bytes and in age."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from aegis_llm.scheduler.forks import renew_in_child

_OVERHEAD = 256  # bytes that one entry costs beside its key and value


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
        self._items: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._bytes = 0

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
        data, deadline = item
        with self._lock:
            if self._now() >= deadline:
                self._remove(key)
                return None
            if key in self._items:
                self._items.move_to_end(key)
        return data

    def put(self, key: str, data: bytes, ttl_s: float) -> None:
        """Keep `data` for `ttl_s` seconds, or the longest age if that is less."""
        size = self._size(key, data)
        if size > self._max_bytes or ttl_s <= 0:
            self.delete(key)  # what was there is out of date all the same
            return
        deadline = self._now() + min(ttl_s, self._max_age)
        with self._lock:
            self._remove(key)
            self._items[key] = (data, deadline)
            self._bytes += size
            while self._bytes > self._max_bytes:
                self._remove(next(iter(self._items)))

    def delete(self, key: str) -> None:
        """Forget `key`."""
        with self._lock:
            self._remove(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._items.clear()
            self._bytes = 0

    def _remove(self, key: str) -> None:
        item = self._items.pop(key, None)
        if item is not None:
            self._bytes -= self._size(key, item[0])

    @staticmethod
    def _size(key: str, data: bytes) -> int:
        return len(key) + len(data) + _OVERHEAD
