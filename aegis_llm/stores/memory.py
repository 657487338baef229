"""Both tiers in the memory of this process (`memory://`): the reference, and the last resort."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from aegis_llm.plan import Put
from aegis_llm.scheduler.forks import renew_in_child

_OVERHEAD = 512


class Entries:
    """What the stores of one name share: bounded in bytes, oldest use dropped first."""

    def __init__(self, max_bytes: int, monotonic: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._now = monotonic
        self.renew()
        renew_in_child(self)
        self._items: OrderedDict[str, tuple[Put, float, str]] = OrderedDict()
        self._scopes: dict[tuple[str, str], dict[str, Any]] = {}
        self._bytes = 0

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.RLock()  # garbage collection may store while this thread holds it

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> bytes | None:
        """Return the value of a key until it expires."""
        with self._lock:
            return self._live(key)

    def put(self, put: Put, embedder: str) -> None:
        """Store a value, and the vector that this embedder made."""
        with self._lock:
            self._remove(put.key)
            self._items[put.key] = (put, self._now() + put.ttl_ms / 1000, embedder)
            self._bytes += _size(put)
            if put.semantic is not None:
                vector = np.frombuffer(put.semantic.vector, np.float32)
                scope = (embedder, put.semantic.scope)
                self._scopes.setdefault(scope, {})[put.key] = vector
            while self._bytes > self._max_bytes and self._items:
                self._remove(next(iter(self._items)))

    def nearest(
        self, scope: tuple[str, str], vector: bytes, count: int
    ) -> list[tuple[bytes, float]]:
        """Return the nearest entries of one embedder's scope by cosine similarity."""
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

    def delete(self, key: str) -> None:
        """Delete one value and its vector."""
        with self._lock:
            self._remove(key)

    def clear(self) -> None:
        """Delete everything."""
        with self._lock:
            self._items.clear()
            self._scopes.clear()
            self._bytes = 0

    def _live(self, key: str) -> bytes | None:
        item = self._items.get(key)
        if item is None:
            return None
        put, deadline, _ = item
        if self._now() >= deadline:
            self._remove(key)
            return None
        self._items.move_to_end(key)
        return put.data

    def _remove(self, key: str) -> None:
        item = self._items.pop(key, None)
        if item is None:
            return
        put, _, embedder = item
        self._bytes -= _size(put)
        if put.semantic is not None:
            name = (embedder, put.semantic.scope)
            scope = self._scopes.get(name, {})
            scope.pop(key, None)
            if not scope:
                self._scopes.pop(name, None)


class MemoryStore:
    """A store in this process; the semantic tier is a NumPy scan of one embedder's vectors."""

    def __init__(
        self,
        max_bytes: int = 256 * 1024 * 1024,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = Entries(max_bytes, monotonic)
        self._embedder = ""

    def seen_by(self, embedding_id: str) -> MemoryStore:
        """Return the same entries with the vectors of another embedder."""
        other = copy(self)
        other._embedder = embedding_id
        return other

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> bytes | None:
        """Return the value of the exact tier."""
        return self._entries.get(key)

    async def aget(self, key: str) -> bytes | None:
        """Like `get`; it never blocks."""
        return self._entries.get(key)

    def put(self, put: Put) -> None:
        """Store in one tier or both."""
        self._entries.put(put, self._embedder)

    async def aput(self, put: Put) -> None:
        """Like `put`; it never blocks."""
        self._entries.put(put, self._embedder)

    @property
    def searches(self) -> bool:
        """Always: it is a scan."""
        return True

    def nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Return the nearest entries of a scope by cosine similarity."""
        return self._entries.nearest((self._embedder, scope), vector, count)

    async def anearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Like `nearest`, on the loop: a scope in memory is small."""
        return self._entries.nearest((self._embedder, scope), vector, count)

    def delete(self, key: str) -> None:
        """Delete one value, in both tiers."""
        self._entries.delete(key)

    async def adelete(self, key: str) -> None:
        """Like `delete`; it never blocks."""
        self._entries.delete(key)

    def clear(self) -> None:
        """Delete every entry."""
        self._entries.clear()

    async def aclear(self) -> None:
        """Like `clear`; it never blocks."""
        self._entries.clear()

    def ready(self, timeout_s: float) -> None:
        """Return at once: memory is always there."""

    def close(self) -> None:
        """Keep everything: the entries live as long as the store."""

    async def aclose(self) -> None:
        """Like `close`."""


def _size(put: Put) -> int:
    vector = len(put.semantic.vector) if put.semantic is not None else 0
    return len(put.key) + len(put.data) + vector + _OVERHEAD
