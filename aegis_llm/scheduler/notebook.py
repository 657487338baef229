"""What was learnt, in this process and shared with the others through the store.

A decision reads it in memory. It is loaded in the background when it is first needed, refreshed
while it is used, and what is new is written in the background.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from aegis_llm import events
from aegis_llm.errors import StoreTrouble
from aegis_llm.learning.learned import Learned
from aegis_llm.learning.ledger import Label, Labels
from aegis_llm.learning.pairs import MOST_PAIRS, Finding
from aegis_llm.metrics.registry import METRICS
from aegis_llm.ports import Notes
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool

log = logging.getLogger("aegis_llm")
REFRESH_S = 30.0
_RETRY_S = 5.0
_OVERLAP_MS = 300_000  # clocks of different machines may differ by as much
_MOST_PENDING = 5_000
_FOR_GOOD = frozenset({"redis_no_permission", "redis_error", "foreign_value"})
"""Trouble that asking again would not end; the rest ends, or no search works either."""


class Notebook:
    """Pairs and labels of one namespace."""

    def __init__(
        self,
        learned: Learned,
        notes: Notes,
        pool: DaemonPool,
        now_ms: Callable[[], int],
        publish: Callable[[bytes], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.learned = learned
        self._notes = notes
        self._pool = pool
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._publish = publish
        self._quiet = Quiet()
        self._seen_ms = 0
        self._next = 0.0
        self._loaded = False
        self._pairs: dict[str, Finding] = {}
        self._labels: list[Label] = []
        self._said = False
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget what no thread of a forked child will end."""
        self._lock = threading.RLock()
        self._io = threading.Lock()
        self._loading: Future[None] | None = None
        self._flushing: Future[None] | None = None

    def start(self) -> Future[None] | None:
        """Begin to load what is not known, or old; return the load that has to be waited for."""
        if self._loaded and self._monotonic() < self._next:
            return None
        with self._lock:
            if self._loading is None and self._monotonic() >= self._next:
                self._loading = self._pool.submit(self._load)
            return None if self._loaded else self._loading

    @property
    def loaded(self) -> bool:
        """Whether the verdicts of others are known."""
        return self._loaded

    def add_pair(self, asked: str, cached: str, scope: str, finding: Finding) -> None:
        """Note a finding about two questions; an approval holds in this scope alone."""
        name = self.learned.name_of(asked, cached, scope, finding)
        with self._lock:
            if not self.learned.pairs.add(name, finding):
                return
            most = _MOST_PENDING + (MOST_PAIRS if finding == "rejected" else 0)
            if len(self._pairs) < most:
                self._pairs[name] = finding
        self._write_soon()

    def add_label(self, label: Label) -> None:
        """Note whether a hit was right."""
        if label.source != "reject":  # those are counted where they are taken in
            METRICS.checked(label.source, right=label.right)
        with self._lock:
            self.learned.ledger.add(label)
            if len(self._labels) < _MOST_PENDING:
                self._labels.append(label)
        self._tell()
        self._write_soon()

    def heard(self, pairs: tuple[str, ...]) -> None:
        """Take in what another process refused."""
        with self._lock:
            for pair in pairs:
                self.learned.pairs.add(pair, "refused")

    def expire(self) -> None:
        """Read again at the next decision: something may have been said unheard."""
        self._next = 0.0

    def labels(self) -> Labels:
        """Return what the labels say."""
        with self._lock:
            return self.learned.ledger.summary()

    def write(self) -> None:
        """Write what is new now.

        Raises:
            StoreTrouble: It could not be written; it is kept for the next time.
        """
        with self._io:
            with self._lock:
                pairs, self._pairs = self._pairs, {}
                labels, self._labels = self._labels, []
            if not pairs and not labels:
                return
            try:
                self._notes.write(pairs, labels, self._now_ms())
            except BaseException:
                with self._lock:
                    self._pairs = {**pairs, **self._pairs}
                    self._labels = labels + self._labels
                raise
        refused = tuple(name for name, finding in pairs.items() if finding != "approved")
        if refused:
            with contextlib.suppress(StoreTrouble):  # others read it at their next refresh
                self._publish(events.encode(events.Refused(refused)))

    def flush(self) -> None:
        """Write what is new now, or leave it for the next time and say so."""
        try:
            self.write()
        except StoreTrouble as exc:
            if self._quiet.may_say(f"writing {exc.reason}"):
                log.warning("%s: what was learnt is not shared yet", exc.reason)

    def read(self) -> None:
        """Read what others wrote.

        Raises:
            StoreTrouble: It could not be read.
        """
        with self._io:
            began = self._now_ms()
            pairs = self._notes.pairs(max(0, self._seen_ms - _OVERLAP_MS))
            totals, everywhere, log_ = self._notes.labels()
            with self._lock:
                self.learned.pairs.learn(pairs)
                self.learned.ledger.replace(totals, everywhere, log_)
                for label in self._labels:  # not written yet
                    self.learned.ledger.add(label)
                self._seen_ms = began
        self._tell()

    def _load(self) -> None:
        wait = _RETRY_S
        try:
            self.flush()
            self.read()
            wait = REFRESH_S
            self._loaded = True
        except StoreTrouble as exc:
            if exc.reason in _FOR_GOOD:
                wait = REFRESH_S
                self._loaded = True
            if self._quiet.may_say(exc.reason):
                log.warning(
                    "%s: what was learnt about pairs of questions could not be read", exc.reason
                )
            raise
        finally:
            with self._lock:
                self._next = self._monotonic() + wait
                self._loading = None

    def _write_soon(self) -> None:
        with self._lock:
            if self._flushing is None or self._flushing.done():
                self._flushing = self._pool.submit(self.flush)

    def _tell(self) -> None:
        """Say once that hits by meaning stop, and once that they are back."""
        drift = self.learned.drift
        with self._lock:
            if drift == self._said:
                return
            self._said = drift
            told = self.learned.ledger.summary()
        if drift:
            log.warning(
                "of the last %d checked hits by meaning %d were wrong, more than the %.1f %% "
                "promised: only exact repeats are served until this is over",
                told.window.total,
                told.window.wrong,
                100 * told.promised,
            )
        else:
            log.warning("hits by meaning keep their promise again: they are served")
