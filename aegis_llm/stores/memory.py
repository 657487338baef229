"""Both tiers in the memory of this process (`memory://`): the reference, and the last resort."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from aegis_llm.plan import Put
from aegis_llm.scheduler.forks import renew_in_child

_OVERHEAD = 512


class MemoryStore:
    """A store bounded in bytes, oldest use dropped first; the semantic tier is a NumPy scan."""

    def __init__(
        self,
        max_bytes: int = 256 * 1024 * 1024,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._now = monotonic
        self.renew()
        renew_in_child(self)
        self._items: OrderedDict[str, tuple[Put, float]] = OrderedDict()
        self._scopes: dict[str, dict[str, Any]] = {}
        self._bytes = 0

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.RLock()  # garbage collection may store while this thread holds it

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> bytes | None:
        """Return the value of the exact tier."""
        with self._lock:
            return self._live(key)

    async def aget(self, key: str) -> bytes | None:
        """Like `get`; it never blocks."""
        return self.get(key)

    def put(self, put: Put) -> None:
        """Store in one tier or both."""
        with self._lock:
            self._remove(put.key)
            self._items[put.key] = (put, self._now() + put.ttl_ms / 1000)
            self._bytes += _size(put)
            if put.semantic is not None:
                vector = np.frombuffer(put.semantic.vector, np.float32)
                self._scopes.setdefault(put.semantic.scope, {})[put.key] = vector
            while self._bytes > self._max_bytes and self._items:
                self._remove(next(iter(self._items)))

    async def aput(self, put: Put) -> None:
        """Like `put`; it never blocks."""
        self.put(put)

    def nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Return the nearest entries of a scope by cosine similarity."""
        asked = np.frombuffer(vector, np.float32)
        with self._lock:
            in_scope = [
                (key, known)
                for key, known in self._scopes.get(scope, {}).items()
                if known.shape == asked.shape
            ]
            if not in_scope:
                return []
            matrix = np.stack([known for _, known in in_scope])
            norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(asked)
            similarities = (matrix @ asked) / np.where(norms == 0, 1, norms)
            found = []
            for place in np.argsort(-similarities, kind="stable"):
                data = self._live(in_scope[place][0])
                if data is not None:
                    found.append((data, float(similarities[place])))
                if len(found) == count:
                    break
            return found

    async def anearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Like `nearest`, on the loop: a scope in memory is small."""
        return self.nearest(scope, vector, count)

    def delete(self, key: str) -> None:
        """Delete one value, in both tiers."""
        with self._lock:
            self._remove(key)

    async def adelete(self, key: str) -> None:
        """Like `delete`; it never blocks."""
        self.delete(key)

    def clear(self) -> None:
        """Delete every entry."""
        with self._lock:
            self._items.clear()
            self._scopes.clear()
            self._bytes = 0

    async def aclear(self) -> None:
        """Like `clear`; it never blocks."""
        self.clear()

    def ready(self, timeout_s: float) -> None:
        """Return at once: memory is always there."""

    def close(self) -> None:
        """Keep everything: the entries live as long as the store."""

    async def aclose(self) -> None:
        """Like `close`."""

    def _live(self, key: str) -> bytes | None:
        item = self._items.get(key)
        if item is None:
            return None
        put, deadline = item
        if self._now() >= deadline:
            self._remove(key)
            return None
        self._items.move_to_end(key)
        return put.data

    def _remove(self, key: str) -> None:
        item = self._items.pop(key, None)
        if item is None:
            return
        put = item[0]
        self._bytes -= _size(put)
        if put.semantic is not None:
            scope = self._scopes.get(put.semantic.scope, {})
            scope.pop(key, None)
            if not scope:
                self._scopes.pop(put.semantic.scope, None)


def _size(put: Put) -> int:
    vector = len(put.semantic.vector) if put.semantic is not None else 0
    return len(put.key) + len(put.data) + vector + _OVERHEAD
