"""The metrics of this process: what is noted on the way of a request, and read by whoever asks.

Each thread counts in a cell of its own, so that nobody waits for anybody; a reader adds the cells
up. What a thread that has ended counted is kept. A forked child begins at zero.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context, copy_context
from typing import Any, Protocol

import msgspec

from aegis_llm import rejecting
from aegis_llm.metrics.failures import failure
from aegis_llm.metrics.reasons import OTHER, REASONS
from aegis_llm.metrics.snapshot import CacheState, ModelQueue, Snapshot
from aegis_llm.metrics.tally import (
    BUCKETS,
    LOOKUP_MS,
    MS,
    NOT_STORED,
    RIGHT,
    SECONDS,
    TOKENS,
    VECTORS,
    WRONG,
    Cell,
    Totals,
)
from aegis_llm.quiet import Quiet
from aegis_llm.values import Answer, Origin, Request

log = logging.getLogger("aegis_llm")
_FEW = 200  # ids noted, before they are counted: few lie in memory that is at hand
_MANY = 64  # cells, before those of threads that have ended are added up


class Call(msgspec.Struct, frozen=True):
    """One request that is over, as told to those who listen.

    `operation` is `chat`, `embeddings` or `invoke_workflow` (a chain, a query engine), `seconds`
    how long it took in all, `input_tokens` and `output_tokens` what the model computed for it (0
    for a hit, and for a workflow, whose models tell of themselves), `finish_reasons` why it
    stopped, `error` the name of the class of what went wrong. `origin` is None where there was no
    answer.
    """

    operation: str
    framework: str
    model: str
    seconds: float
    origin: Origin | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    error: str = ""
    finish_reasons: tuple[str, ...] = ()


def call_of(
    request: Request,
    started: float,
    origin: Origin | None,
    made: tuple[Answer, ...],
    error: str = "",
) -> Call:
    """Return what is told of a request that began at `started` and is over now."""
    made = made if request.operation == "chat" else ()
    return Call(
        operation=request.operation,
        framework=request.framework,
        model=request.model,
        seconds=time.perf_counter() - started,
        origin=origin,
        input_tokens=sum(answer.prompt_tokens for answer in made),
        output_tokens=sum(answer.completion_tokens for answer in made),
        error=error,
        finish_reasons=tuple(answer.done_reason for answer in made if answer.done_reason),
    )


Listener = Callable[[Call], None]


class Book(Protocol):
    """Keeps the hits of single entries until they are written down.

    `noted` is where their ids are left; `asleep`: nothing will be written until `heed`.
    """

    noted: deque[str]
    asleep: bool

    def heed(self) -> None:
        """Count what is noted, and have it written soon."""


class Seen(Protocol):
    """A cache whose state can be looked at."""

    def state(self) -> CacheState:
        """Return what is to be seen of it; asks nobody, at most has somebody ask."""


class Registry:
    """Counts what happens in a process; never raises, and never waits on the way of a request."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.on = True
        self._off = 0
        self.listeners: tuple[Listener, ...] = ()
        self._now_ms = now_ms
        self._quiet = Quiet()
        self._caches: weakref.WeakSet[Seen] = weakref.WeakSet()
        self._queues: list[Callable[[], list[ModelQueue]]] = []
        self.renew()

    def renew(self) -> None:
        """Begin at zero, with a lock of its own."""
        self._lock = threading.RLock()  # garbage collection may read while this thread does
        self._mine = _Mine()
        self._cells: list[tuple[weakref.ref[_Owner], Cell]] = []
        self._ended = Totals()
        self._many = _MANY
        self._started_ms = self._now_ms()

    def switch(self, off: int) -> None:
        """Add to how many want nothing counted."""
        with self._lock:
            self._off += off
            self.on = not self._off

    def ended(self, origin: Origin, framework: str, book: Book | None) -> None:
        """Note that a request was answered.

        Written out, since one more call would cost a tenth of it.
        """
        if not self.on:
            return
        try:
            cell = self._mine.cell or self._cell()
            outcome = origin.outcome
            row = cell.rows.get((outcome, origin.reason, framework))
            if row is None:
                row = cell.row(origin, framework)
            ms = origin.lookup_ms
            row[BUCKETS + bisect_left(LOOKUP_MS, ms)] += 1
            row[MS] += ms
            if outcome == "miss":
                return
            row[TOKENS] += origin.saved_tokens
            row[SECONDS] += origin.saved_s
            if (entry_id := origin.entry_id) and not origin.reason and book is not None:
                (noted := book.noted).append(entry_id)
                if len(noted) >= _FEW or book.asleep:
                    book.heed()
        except Exception as exc:  # noqa: BLE001 - counting is never worth an answer
            self._failed("counting", exc)

    def failed(self, reason: str, framework: str) -> None:
        """Note that a request ended without an answer."""
        self.ended(Origin("failed", reason), framework, None)  # type: ignore[arg-type]

    def told(
        self,
        request: Request,
        started: float,
        origin: Origin,
        made: tuple[Answer, ...],
        around: Context | None,
    ) -> None:
        """Tell those who listen of a request that was answered."""
        self.tell(call_of(request, started, origin, made), around)

    def unanswered(
        self,
        request: Request,
        error: BaseException,
        started: float,
        made: tuple[Answer, ...] = (),
        around: Context | None = None,
    ) -> None:
        """Note a request that ended without an answer, and tell those who listen."""
        self.failed(failure(error), request.framework)
        if self.listeners:
            self.tell(call_of(request, started, None, made, type(error).__name__), around)

    def unstored(self, reason: str) -> None:
        """Note why an answer was served and not stored; an empty reason: it was."""
        if self.on and reason:
            label = reason if reason in REASONS else OTHER
            self._note(lambda cell: cell.add(NOT_STORED, label))

    def waited(self, seconds: float) -> None:
        """Note how long a model call waited for its turn."""
        if self.on:
            self._note(lambda cell: cell.waited(seconds))

    def checked(self, found_by: str, *, right: bool) -> None:
        """Note that a hit was found right or wrong."""
        if self.on:
            self._note(lambda cell: cell.add(RIGHT if right else WRONG, found_by))

    def embedded(self, outcome: str, count: int) -> None:
        """Note that texts were embedded, or were known."""
        if self.on and count:
            self._note(lambda cell: cell.add(VECTORS, outcome, count))

    def around(self) -> Context | None:
        """Return the context of who asks, for those who listen: a stream may end elsewhere."""
        return copy_context() if self.listeners else None

    def tell(self, call: Call, around: Context | None = None) -> None:
        """Tell those who listen of a request; what they raise is logged and nothing else."""
        for listener in self.listeners:
            try:
                if around is None:
                    listener(call)
                else:
                    around.copy().run(listener, call)  # it may be told in two threads
            except Exception as exc:  # noqa: BLE001 - nor is listening
                self._failed("listening to", exc)

    def watch(self, cache: Seen) -> None:
        """Show a cache while it lives."""
        with self._lock:
            self._caches.add(cache)

    def watch_queues(self, source: Callable[[], list[ModelQueue]]) -> None:
        """Show the queues that a source knows."""
        self._queues.append(source)

    def snapshot(self) -> Snapshot:
        """Return what the metrics say now."""
        with self._lock:
            totals = self._ended.copy()
            for _, cell in self._cells:
                totals.add(cell)
            counts = totals.snapshot(self._started_ms, self._now_ms())
            living = list(self._caches)
        queues = [queue for source in self._queues for queue in self._asked(source, [])]
        caches = [self._asked(cache.state, None) for cache in living]
        return msgspec.structs.replace(
            counts, queues=tuple(queues), caches=tuple(state for state in caches if state)
        )

    def _note(self, count: Callable[[Cell], None]) -> None:
        try:
            count(self._mine.cell or self._cell())
        except Exception as exc:  # noqa: BLE001 - as above
            self._failed("counting", exc)

    def _cell(self) -> Cell:
        """Return a new cell for this thread."""
        cell, owner = Cell(), _Owner()
        with self._lock:
            self._cells.append((weakref.ref(owner), cell))
            if len(self._cells) > self._many:
                self._tidy()
        self._mine.cell, self._mine.owner = cell, owner
        return cell

    def _tidy(self) -> None:
        """Add up what threads counted that have ended; the lock is held."""
        gone = [cell for owner, cell in self._cells if owner() is None]
        for cell in gone:
            self._ended.add(cell)
        self._cells = [one for one in self._cells if one[1] not in gone]
        self._many = max(_MANY, 2 * len(self._cells))

    def _asked(self, source: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return source()
        except Exception as exc:  # noqa: BLE001 - the rest is shown
            self._failed("asking for", exc)
            return otherwise

    def _failed(self, doing: str, error: Exception) -> None:
        if self._quiet.may_say(f"{doing} {type(error)}"):
            log.error("%s metrics failed; requests are served all the same", doing, exc_info=error)


class _Owner:
    """Lives as long as its thread."""

    __slots__ = ("__weakref__",)


class _Mine(threading.local):
    cell: Cell | None = None
    owner: _Owner | None = None


METRICS = Registry(lambda: time.time_ns() // 1_000_000)
os.register_at_fork(after_in_child=METRICS.renew)
rejecting.on_removal(lambda: METRICS.checked("reject", right=False))


@contextlib.contextmanager
def metrics_off() -> Iterator[None]:
    """Count nothing inside the block, in the whole process; blocks may overlap."""
    METRICS.switch(1)
    try:
        yield
    finally:
        METRICS.switch(-1)
