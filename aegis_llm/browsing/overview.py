"""How it goes, in one look: what serving processes count, and what Redis holds."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import msgspec

from aegis_llm.browsing.browser import Browser
from aegis_llm.browsing.counting import Stock
from aegis_llm.browsing.endpoint import NoFiguresError, Source
from aegis_llm.browsing.figures import Figures
from aegis_llm.browsing.keyspace import servers
from aegis_llm.browsing.stocktaking import Stocktaking
from aegis_llm.errors import StoreTrouble
from aegis_llm.stores.redis_commands import reason_of

_WINDOW_S = 60.0
_LOOKS_KEPT = 120


class Memory(msgspec.Struct, frozen=True):
    """What the whole Redis takes, in bytes; `most` is None without a limit."""

    used: int | None = None
    most: int | None = None
    evicted: int | None = None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One look; what could not be seen is None, and why is told.

    `recent` are the figures of the last `recent_s` seconds, at most a minute.
    """

    figures: Figures | None = None
    recent: Figures | None = None
    recent_s: float = 0.0
    no_figures: str = ""
    stock: Stock | None = None
    memory: Memory | None = None
    redis_trouble: str = ""

    @property
    def lately(self) -> Figures | None:
        """The recent figures, where they tell something."""
        recent = self.recent
        return recent if recent is not None and recent.requests and self.recent_s >= 1 else None


class Overview:
    """Looks again and again; safe in several threads.

    Args:
        browser: The namespace.
        source: Where figures of serving processes come from; None: nowhere.
    """

    def __init__(self, browser: Browser, source: Source | None) -> None:
        self.stocktaking = Stocktaking(browser.stock)
        self._browser = browser
        self._source = source
        self._lock = threading.Lock()
        self._looks: deque[tuple[float, Figures]] = deque(maxlen=_LOOKS_KEPT)

    def look(self) -> View:
        """Return how it goes now; never raises for what does not answer."""
        figures, no_figures = self._figures()
        before = self._before(figures)
        try:
            memory = memory_of(self._browser)
            stock, trouble = self.stocktaking.latest(), self.stocktaking.trouble
        except StoreTrouble as exc:
            memory, stock, trouble = None, None, exc.reason
        return View(
            figures=figures,
            recent=None if figures is None or before is None else figures.since(before[1]),
            recent_s=0.0 if before is None else time.monotonic() - before[0],
            no_figures=no_figures,
            stock=stock,
            memory=memory,
            redis_trouble=trouble,
        )

    def _figures(self) -> tuple[Figures | None, str]:
        if self._source is None:
            return None, ""
        try:
            return self._source(), ""
        except NoFiguresError as exc:
            return None, str(exc)

    def _before(self, figures: Figures | None) -> tuple[float, Figures] | None:
        """Return the oldest look of the last minute, and keep this one."""
        if figures is None:
            return None
        now = time.monotonic()
        with self._lock:
            while self._looks and now - self._looks[0][0] > _WINDOW_S:
                self._looks.popleft()
            oldest = self._looks[0] if self._looks else None
            self._looks.append((now, figures))
        return oldest


def memory_of(browser: Browser) -> Memory:
    """Ask Redis for its memory; what it may not tell is None.

    Raises:
        StoreTrouble: It does not answer.
    """
    with browser.store.lent() as client:
        client.ping()
        nodes = servers(client)
        where: dict[str, Any] = {} if nodes is None else {"target_nodes": nodes}
        try:
            told = [client.info(section, **where) for section in ("memory", "stats")]
        except Exception as exc:
            if reason_of(exc) != "redis_no_permission":
                raise
            return Memory()
    nodes = [each for one in told for each in (one, *one.values()) if isinstance(each, dict)]
    most = _sum(nodes, "maxmemory")
    return Memory(_sum(nodes, "used_memory"), most or None, _sum(nodes, "evicted_keys"))


def _sum(nodes: list[dict[str, Any]], name: str) -> int | None:
    found = [int(node[name]) for node in nodes if name in node]
    return sum(found) if found else None
