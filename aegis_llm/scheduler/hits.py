"""The hits of single entries: counted here, and written down in the background every few seconds.

No thread while nothing hits. What was counted last is written when the program ends, if that takes
no longer than a quarter of a second.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for

import msgspec

from aegis_llm.config import CacheConfig, safe_url
from aegis_llm.errors import StoreTrouble
from aegis_llm.metrics.snapshot import CacheState
from aegis_llm.ports import Notes, Store
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool

log = logging.getLogger("aegis_llm")
PAUSE_S = 5.0
_LOOK_S = 60.0
_AT_EXIT_S = 0.25
_MOST_NOTED = 100_000
_MOST_PENDING = 10_000
_SLACK_MS = 60_000


class Size(msgspec.Struct, frozen=True):
    """What a store holds, as far as is known."""

    entries: int | None = None
    bytes: int | None = None


class HitBook:
    """Counts the hits of the entries of one cache."""

    def __init__(
        self,
        notes: Notes,
        now_ms: Callable[[], int],
        ttl_s: float,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._notes = notes
        self._now_ms = now_ms
        self._keep_ms = round(1000 * ttl_s) + _SLACK_MS
        self._pause = pause_s
        self._pool = DaemonPool("aegis-hits", 1)
        self._quiet = Quiet()
        self._size = Size()
        self._next_look = 0.0
        self._refused = False
        self.renew()
        renew_in_child(self)
        _books.add(self)

    def renew(self) -> None:
        """Leave what was counted to the parent of a forked child."""
        self._lock = threading.Lock()
        self.noted: deque[str] = deque(maxlen=_MOST_NOTED)
        self._pending: Counter[str] = Counter()
        self._hurry = threading.Event()
        self.flushing: Future[None] | None = None
        self.asleep = True

    def heed(self) -> None:
        """Count what is noted, unless somebody does, and have it written soon."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._take()
            wake, self.asleep = self.asleep, False
        finally:
            self._lock.release()
        if not wake or self._refused:
            return
        try:
            self.flushing = self._pool.submit(
                _flush_later, weakref.ref(self), self._hurry, self._pause
            )
        except Exception:  # no thread can be started: a later hit tries again
            self.asleep = True
            raise

    def forget(self, entry_id: str | None = None) -> None:
        """Forget what is not written yet, of one entry or of all."""
        with self._lock:
            self._take()
            if entry_id is None:
                self._pending.clear()
            else:
                self._pending.pop(entry_id, None)

    def hurry(self) -> None:
        """Have what is counted written now."""
        self._hurry.set()

    def flush(self) -> None:
        """Write what was counted; what cannot be written is kept for the next time."""
        self.asleep = True
        with self._lock:
            self._take()
            hits, self._pending = self._pending, Counter()
        if not hits:
            return
        try:
            self._notes.add_hits(hits, self._now_ms(), self._keep_ms)
        except StoreTrouble as exc:
            if exc.reason != "redis_no_permission":
                with self._lock:
                    self._pending.update(hits)
                return
            self._refused = True
            log.warning(
                "redis_no_permission: hits of single entries are not counted; allow HINCRBY HDEL "
                "ZADD ZREM ZRANGE ZRANGEBYSCORE ZCARD PEXPIRE on aegis:*"
            )

    def size(self) -> Size:
        """Return what the store held when it was last looked at, and have it looked at again."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._pool.submit(_look_later, weakref.ref(self))
        return self._size

    def state(
        self, cache: CacheConfig, store: Store, local: tuple[int, int], *, embedder_open: bool
    ) -> CacheState:
        """Return what the metrics show of a cache; `local`: entries and bytes here."""
        size = self.size()
        return CacheState(
            namespace=cache.namespace,
            server=safe_url(cache.redis_url),
            redis_open=store.left_alone,
            embedder_open=embedder_open,
            local_entries=local[0],
            local_bytes=local[1],
            entries=size.entries,
            redis_bytes=size.bytes,
        )

    def look(self) -> None:
        """Look at what the store holds, no more often than one hundredth of the time."""
        began = time.monotonic()
        try:
            self._size = Size(*self._notes.size())
        except StoreTrouble:
            self._size = Size()
        now = time.monotonic()
        self._next_look = now + max(_LOOK_S, 100 * (now - began))

    def _take(self) -> None:
        """Count what was noted; the lock is held."""
        noted = [self.noted.popleft() for _ in range(len(self.noted))]
        if self._refused:
            return
        self._pending.update(noted)
        if len(self._pending) > 2 * _MOST_PENDING:  # rarely: it takes milliseconds
            self._pending = Counter(dict(self._pending.most_common(_MOST_PENDING)))


_books: weakref.WeakSet[HitBook] = weakref.WeakSet()


def _flush_later(ref: weakref.ref[HitBook], hurry: threading.Event, pause_s: float) -> None:
    hurry.wait(pause_s)
    if (book := ref()) is not None:
        book.flush()


def _look_later(ref: weakref.ref[HitBook]) -> None:
    if (book := ref()) is not None:
        book.look()


@atexit.register
def _at_exit() -> None:
    waiting = [book for book in list(_books) if book.flushing is not None and not book.asleep]
    for book in waiting:
        book.hurry()
    wait_for([book.flushing for book in waiting if book.flushing is not None], _AT_EXIT_S)
