"""The metrics of this process: what is noted on the way of a request, and read by whoever asks.

A request leaves one record in a queue (an append, which needs no lock and which no other thread,
task or finalizer can tear), and goes on. Whoever reads the metrics folds the records into counts;
so does the one who leaves the five hundredth, so that they stay few. A forked child begins at
zero.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from weakref import WeakSet

import msgspec

from aegis_llm.metrics.snapshot import CacheState, ModelQueue, Snapshot
from aegis_llm.metrics.tally import Book, Checked, Embedded, Ended, Failed, Tally, Waited
from aegis_llm.quiet import Quiet
from aegis_llm.values import Origin

log = logging.getLogger("aegis_llm")
_FOLD_AT = 500


class Call(msgspec.Struct, frozen=True):
    """One request that is over, as told to those who listen.

    `operation` is `chat` or `embeddings`, `seconds` how long it took in all, `input_tokens` and
    `output_tokens` what the model computed for it (0 for a hit), `error` the name of the class of
    what went wrong. `origin` is None where there was no answer.
    """

    operation: str
    framework: str
    model: str
    seconds: float
    origin: Origin | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    error: str = ""


Listener = Callable[[Call], None]


class Seen(Protocol):
    """A cache whose state can be looked at."""

    def state(self) -> CacheState:
        """Return what is to be seen of it; asks nobody, at most has somebody ask."""


class Registry:
    """Counts what happens in a process; never raises, and never waits on the way of a request."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.on = True
        self.listeners: tuple[Listener, ...] = ()
        self._now_ms = now_ms
        self._quiet = Quiet()
        self._caches: WeakSet[Seen] = WeakSet()
        self._queues: list[Callable[[], list[ModelQueue]]] = []
        self.renew()

    def renew(self) -> None:
        """Begin at zero, with a lock of its own."""
        self._lock = threading.RLock()  # garbage collection may read while this thread folds
        self._records: deque[Any] = deque()
        self._tally = Tally(self._now_ms())

    def ended(self, origin: Origin, framework: str, book: Book | None) -> None:
        """Note that a request was answered."""
        if self.on:
            records = self._records
            records.append(Ended(origin, framework, book))
            if book is not None and book.asleep and origin.entry_id:
                self._wake(book)
            if len(records) >= _FOLD_AT:
                self.fold()

    def failed(self, reason: str, framework: str) -> None:
        """Note that a request ended without an answer."""
        self._note(Failed(reason, framework))

    def waited(self, seconds: float) -> None:
        """Note how long a model call waited for its turn."""
        self._note(Waited(seconds))

    def checked(self, found_by: str, *, right: bool) -> None:
        """Note that a hit was found right or wrong."""
        self._note(Checked(found_by, right))

    def embedded(self, outcome: str, count: int) -> None:
        """Note that texts were embedded, or were known."""
        if count:
            self._note(Embedded(outcome, count))

    def tell(self, call: Call) -> None:
        """Tell those who listen of a request; what they raise is logged and nothing else."""
        for listener in self.listeners:
            try:
                listener(call)
            except Exception as exc:
                if self._quiet.may_say(f"listening {type(exc)}"):
                    log.error("a listener of the metrics failed; go on without", exc_info=exc)

    def watch(self, cache: Seen) -> None:
        """Show a cache while it lives."""
        self._caches.add(cache)

    def watch_queues(self, source: Callable[[], list[ModelQueue]]) -> None:
        """Show the queues that a source knows."""
        self._queues.append(source)

    def fold(self, *, wait: bool = False) -> None:
        """Fold what was noted into the counts; without `wait` not while somebody else does."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            noted = []
            with contextlib.suppress(IndexError):
                while True:
                    noted.append(self._records.popleft())
            if noted:
                self._tally.add(noted)
        except Exception as exc:
            if self._quiet.may_say(f"counting {type(exc)}"):
                log.error("some requests were not counted", exc_info=exc)
        finally:
            self._lock.release()

    def snapshot(self) -> Snapshot:
        """Return what the metrics say now."""
        with self._lock:
            self.fold(wait=True)
            counts = self._tally.snapshot(self._now_ms())
        queues = [queue for source in self._queues for queue in self._asked(source, [])]
        caches = [self._asked(cache.state, None) for cache in list(self._caches)]
        return msgspec.structs.replace(
            counts, queues=tuple(queues), caches=tuple(state for state in caches if state)
        )

    def _wake(self, book: Book) -> None:
        try:
            book.wake()
        except Exception as exc:
            if self._quiet.may_say(f"waking {type(exc)}"):
                log.error("hits of single entries are not written for now", exc_info=exc)

    def _note(self, record: Any) -> None:
        if self.on:
            self._records.append(record)
            if len(self._records) >= _FOLD_AT:
                self.fold()

    def _asked(self, source: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return source()
        except Exception as exc:
            if self._quiet.may_say(f"asking {type(exc)}"):
                log.error("a part of the metrics could not be read", exc_info=exc)
            return otherwise


METRICS = Registry(lambda: time.time_ns() // 1_000_000)
os.register_at_fork(after_in_child=METRICS.renew)


@contextlib.contextmanager
def metrics_off() -> Iterator[None]:
    """Count nothing inside the block, in the whole process."""
    before, METRICS.on = METRICS.on, False
    try:
        yield
    finally:
        METRICS.on = before
