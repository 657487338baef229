"""Both tiers in the memory of this process (`memory://`): the reference, and the last resort."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import numpy as np

from aegis_llm import events
from aegis_llm.errors import StoreTrouble
from aegis_llm.names import Names
from aegis_llm.plan import INVALIDATED, Put, Survey
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.stores.hearers import Hearers
from aegis_llm.stores.memory_notes import MemoryNotes

_OVERHEAD = 512
_OF_A_NAME = 128
_NAMES_KEPT = 10_000


class Entries:
    """What the stores of one name share: bounded in bytes, oldest use dropped first."""

    def __init__(self, max_bytes: int, monotonic: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._now = monotonic
        self.renew()
        renew_in_child(self)
        self.version = 1  # 0 is one that is not known yet
        self.sequence = 0
        self.changed = -math.inf
        self.hearers = Hearers()
        self._keys: dict[str, set[str]] = {}
        self._invalidated: OrderedDict[str, int] = OrderedDict()
        self._forgotten = 0
        self._items: OrderedDict[str, tuple[Put, float, str]] = OrderedDict()
        self._scopes: dict[tuple[str, str], dict[str, Any]] = {}
        self._bytes = 0

    def renew(self) -> None:
        """Make the lock anew, for a forked child."""
        self._lock = threading.RLock()  # garbage collection may store while this thread holds it

    def __len__(self) -> int:
        return len(self._items)

    def size(self) -> tuple[int, int]:
        """Return how many entries there are, and their bytes."""
        return len(self._items), self._bytes

    def get(self, key: str) -> bytes | None:
        """Return the value of a key until it expires."""
        with self._lock:
            return self._live(key)

    def put(self, put: Put, embedder: str) -> None:
        """Store a value, and the vector that this embedder made."""
        with self._lock:
            if put.names and self._since(put.names) > put.sequence:
                raise StoreTrouble(INVALIDATED)
            self._remove(put.key)
            for name in put.names:
                self._keys.setdefault(name, set()).add(put.key)
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
        with self._lock:
            return self._nearest(self._scopes.get(scope, {}), vector, count)

    def survey(self, embedder: str, survey: Survey) -> list[tuple[bytes, float]]:
        """Return the nearest entries of one embedder in a scope, of a tenant, or of all."""
        with self._lock:
            known = {
                key: vector
                for (made_by, scope), vectors in self._scopes.items()
                if made_by == embedder and survey.scope in (None, scope)
                for key, vector in vectors.items()
                if survey.tenant in (None, self._tenant(key))
            }
            return self._nearest(known, survey.vector, survey.count)

    def _nearest(
        self, vectors: dict[str, Any], vector: bytes, count: int
    ) -> list[tuple[bytes, float]]:
        asked = np.frombuffer(vector, np.float32)
        alike = [(key, known) for key, known in vectors.items() if known.shape == asked.shape]
        if not alike:
            return []
        matrix = np.stack([known for _, known in alike])
        norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(asked)
        similarities = (matrix @ asked) / np.where(norms == 0, 1, norms)
        found = []
        for place in np.argsort(-similarities, kind="stable"):
            data = self._live(alike[place][0])
            if data is not None:
                found.append((data, float(similarities[place])))
            if len(found) == count:
                break
        return found

    def _tenant(self, key: str) -> str:
        record = self._items[key][0].semantic
        return record.tenant if record is not None else ""

    def delete(self, key: str) -> None:
        """Delete one value and its vector."""
        with self._lock:
            self._remove(key)

    def take(self, entry_id: str) -> list[bytes]:
        """Delete an entry under each of its keys and return its values."""
        with self._lock:
            found = [key for key in self._items if entry_id in key.split(":")]
            data = [self._items[key][0].data for key in found]
            for key in found:
                self._remove(key)
            return data

    def clear(self) -> None:
        """Delete everything."""
        with self._lock:
            self._items.clear()
            self._scopes.clear()
            self._keys.clear()
            self._bytes = 0

    def invalidate(self, names: Names) -> list[str]:
        """Delete what is stored under one of the names, and return its keys."""
        with self._lock:
            self.changed = self._now()
            self.sequence += 1
            for name in names:
                self._invalidated[name] = self.sequence
                self._invalidated.move_to_end(name)
            while len(self._invalidated) > _NAMES_KEPT:
                self._forgotten = self._invalidated.popitem(last=False)[1]
            found = {key for name in names for key in self._keys.get(name, ())}
            living = [key for key in found if self._live(key) is not None]
            for key in living:
                self._remove(key)
            return living

    def count_version(self) -> int:
        """Count a new version."""
        with self._lock:
            self.changed = self._now()
            self.version += 1
            return self.version

    def _since(self, names: Names) -> int:
        """Return the last invalidation that may have been of one of the names."""
        return max(self._forgotten, *(self._invalidated.get(name, 0) for name in names))

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
        for name in put.names:
            keys = self._keys.get(name, set())
            keys.discard(key)
            if not keys:
                self._keys.pop(name, None)
        if put.semantic is not None:
            place = (embedder, put.semantic.scope)
            scope = self._scopes.get(place, {})
            scope.pop(key, None)
            if not scope:
                self._scopes.pop(place, None)


class MemoryStore:
    """A store in this process; the semantic tier is a NumPy scan of one embedder's vectors."""

    def __init__(
        self,
        max_bytes: int = 256 * 1024 * 1024,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries = Entries(max_bytes, monotonic)
        self._notes = MemoryNotes(self._entries.take, self._entries.size)
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

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of the exact tier, in order."""
        return [self._entries.get(key) for key in keys]

    async def aget_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Like `get_many`; it never blocks."""
        return self.get_many(keys)

    def put_many(self, puts: Sequence[Put]) -> None:
        """Store values, each by itself."""
        for put in puts:
            self.put(put)

    async def aput_many(self, puts: Sequence[Put]) -> None:
        """Like `put_many`; it never blocks."""
        self.put_many(puts)

    @property
    def left_alone(self) -> bool:
        """Never: it is always there."""
        return False

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

    def survey(self, survey: Survey) -> list[tuple[bytes, float]]:
        """Return the nearest entries of one scope, of one tenant, or of all."""
        return self._entries.survey(self._embedder, survey)

    async def asurvey(self, survey: Survey) -> list[tuple[bytes, float]]:
        """Like `survey`, on the loop."""
        return self._entries.survey(self._embedder, survey)

    def delete(self, key: str) -> None:
        """Delete one value, in both tiers."""
        self._entries.delete(key)

    async def adelete(self, key: str) -> None:
        """Like `delete`; it never blocks."""
        self._entries.delete(key)

    @property
    def notes(self) -> MemoryNotes:
        """What was learnt, by all that share these entries."""
        return self._notes

    def clear(self) -> None:
        """Delete every entry."""
        self._entries.clear()
        self._notes.forget_hits()

    async def aclear(self) -> None:
        """Like `clear`; it never blocks."""
        self.clear()

    @property
    def numbers(self) -> tuple[int, int]:
        """The version of everything, and how often documents and tags were invalidated."""
        return self._entries.version, self._entries.sequence

    @property
    def changed(self) -> float:
        """When the numbers changed last, by the monotonic clock."""
        return self._entries.changed

    @property
    def doubtful(self) -> bool:
        """Never: it knows its numbers."""
        return False

    def invalidate(self, names: Names) -> int:
        """Remove the entries of these names, in both tiers, and tell everyone."""
        removed = self._entries.invalidate(names)
        self._notes.forget_hits(part for key in removed for part in key.split(":"))
        self.publish(events.encode(events.Invalidated(names)))
        return len(removed)

    async def ainvalidate(self, names: Names) -> int:
        """Like `invalidate`; it never blocks."""
        return self.invalidate(names)

    def renew(self) -> int:
        """Part from all entries, and tell everyone."""
        version = self._entries.count_version()
        self._notes.forget_hits()
        self.publish(events.encode(events.Renewed(version)))
        return version

    async def arenew(self) -> int:
        """Like `renew`; it never blocks."""
        return self.renew()

    def publish(self, event: bytes) -> None:
        """Tell everyone who subscribed, in this process."""
        self._entries.hearers.tell(event)

    def subscribe(self, handler: Callable[[bytes], None]) -> None:
        """Call a method with every event."""
        self._entries.hearers.add(handler)

    def ready(self, timeout_s: float) -> None:
        """Return at once: memory is always there."""

    def close(self) -> None:
        """Keep everything: the entries live as long as the store."""

    async def aclose(self) -> None:
        """Like `close`."""


def _size(put: Put) -> int:
    vector = len(put.semantic.vector) if put.semantic is not None else 0
    return len(put.key) + len(put.data) + vector + _OVERHEAD + _OF_A_NAME * len(put.names)
