"""Keeps the counts of a namespace fresh in the background, for who asks again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from aegis_llm.browsing.counting import Stock
from aegis_llm.errors import StoreTrouble

_FRESH_S = 30.0
_AGAIN_S = 3.0
_PAUSE_S = 0.01
_REST = 10
"""Counting takes at most one part in so many of the time."""


class Stocktaking:
    """Counts when it is asked and the last count is old; nobody waits for it.

    Args:
        count: Yields what is counted so far; the last one is complete.
    """

    def __init__(self, count: Callable[[], Iterator[Stock]]) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._due = 0.0
        self._stock: Stock | None = None
        self.trouble = ""
        """Why the last count failed; empty: it did not."""

    def latest(self) -> Stock | None:
        """Return the last complete count, else what is counted so far; None: nothing yet."""
        with self._lock:
            idle = self._thread is None or not self._thread.is_alive()
            if idle and time.monotonic() >= self._due:
                self._thread = threading.Thread(target=self._run, name="aegis-stock", daemon=True)
                self._thread.start()
        return self._stock

    def wait(self, timeout_s: float) -> None:
        """Wait until the count under way is over."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def outdated(self) -> None:
        """Note that something was removed: the next one who asks has it counted anew."""
        self._due = 0.0

    def _run(self) -> None:
        started = time.monotonic()
        try:
            for stock in self._count():
                time.sleep(_PAUSE_S)  # the pages go first
                if stock.complete or self._stock is None or not self._stock.complete:
                    self._stock = stock
            self.trouble = ""
        except StoreTrouble as exc:
            self._stock, self.trouble = None, exc.reason
        took = time.monotonic() - started
        rest = _AGAIN_S if self.trouble else _FRESH_S
        self._due = time.monotonic() + max(rest, _REST * took)
