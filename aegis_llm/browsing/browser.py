"""The one way to what a namespace holds, for the commands and the pages."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

from aegis_llm.browsing import counting, details, listing, moving, searching
from aegis_llm.browsing.counting import Stock
from aegis_llm.browsing.lines import header_of
from aegis_llm.browsing.moving import Imported
from aegis_llm.browsing.places import ScanPlace, SearchPlace, place_of
from aegis_llm.browsing.values import Page, Seen
from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError, StoreTrouble
from aegis_llm.keys import SCHEMA
from aegis_llm.learning.ledger import Labels
from aegis_llm.metrics import usage
from aegis_llm.rejecting import Rejected
from aegis_llm.stores.document_commands import entry_of
from aegis_llm.stores.redis import RedisStore
from aegis_llm.stores.redis_commands import entries_of
from aegis_llm.wiring import build

_PATIENT = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000}
_ID = re.compile(r"[0-9a-f]{8,64}")
_WHOLE = 64
_TAIL = re.compile(r"[\w./:?+-]{1,160}")
_PAGE_S = 0.25
READY_S = 5.0
MOST = 500


class Browser:
    """Looks at the entries of one namespace on Redis, and removes what is wrong.

    Every method raises `StoreTrouble` when Redis does not answer. Safe in several threads.
    """

    def __init__(self, config: AegisConfig) -> None:
        cache = config.cache
        if cache.redis_url.startswith("memory://"):
            msg = "memory:// lives in its own process: nothing can be seen from here"
            raise ConfigError(msg)
        self.namespace = cache.namespace
        self.service = build(config.with_options(**_PATIENT))
        store = self.service.store
        if not isinstance(store, RedisStore):
            msg = "only what is in Redis can be looked at"
            raise ConfigError(msg)
        self.store: RedisStore = store

    def page(self, place: str = "", count: int = 50, *, within_s: float = _PAGE_S) -> Page:
        """Return some entries: newest first where there is an index, else in no order."""
        return self.search("", place, count, within_s=within_s)

    def search(
        self,
        text: str,
        place: str = "",
        count: int = 50,
        *,
        everywhere: bool = False,
        within_s: float = _PAGE_S,
    ) -> Page:
        """Return some entries that a person's words find.

        The index knows words of the question, `doc:ID`, `tag:NAME` and `model:NAME`, and only the
        entries that a reworded question can find. Without one, or `everywhere`, every entry is
        looked at for the text, also in its answer.

        Args:
            text: What is looked for; empty: all.
            place: `next` of the page before.
            count: Entries of a page at most.
            everywhere: Look at every entry.
            within_s: Seconds after which a page ends even if it is not full.
        """
        count = max(1, min(count, MOST))
        here = place_of(place)
        with self.store.lent() as client:
            if not everywhere and not isinstance(here, ScanPlace):
                found = self._searched(client, text, here, count)
                if found is not None:
                    return found
            ends = time.monotonic() + within_s
            return listing.page(
                client,
                self.namespace,
                here if isinstance(here, ScanPlace) else ScanPlace(),
                count,
                listing.containing(text) if text.strip() else None,
                lambda: time.monotonic() < ends,
            )

    def _searched(
        self, client: Any, text: str, here: SearchPlace | None, count: int
    ) -> Page | None:
        query = searching.query_of(text)
        ids = searching.index_ids(client, self.namespace)
        if not ids or query is None:
            return None
        try:
            found = searching.page(client, self.namespace, ids, query, here, count)
        except Exception as exc:
            if searching.unsearchable(exc):
                return None
            raise
        return None if query == "*" and not found.total else found

    def show(self, entry_id: str, tail: str = "") -> Seen | None:
        """Return one entry; the first eight digits of its id or more are enough.

        `tail` is the rest of its key, where that is known: it spares looking for it.

        Raises:
            ConfigError: Several entries begin with these digits.
        """
        if not _ID.fullmatch(entry_id):
            return None
        found: dict[str, Seen] = {}
        with self.store.lent() as client:
            for key in self._keys(client, entry_id, tail):
                some = details.entries(client, [key])
                found |= {one.entry_id: one for one in details.seen(client, self.namespace, some)}
                if found and len(entry_id) == _WHOLE:
                    break
        if len(found) > 1:
            msg = f"{len(found)} entries begin with {entry_id}; give more digits"
            raise ConfigError(msg)
        return next(iter(found.values()), None)

    def _keys(self, client: Any, entry_id: str, tail: str) -> Iterator[bytes]:
        """Yield where an entry may be: as it was told, as the index says, found by SCAN.

        It may be in the semantic tier alone.
        """
        prefix = f"aegis:{SCHEMA}:{self.namespace}"
        if len(entry_id) == _WHOLE:
            if _TAIL.fullmatch(tail):
                yield f"{prefix}:x:{entry_id}:{tail}".encode()
            for index in searching.index_ids(client, self.namespace) or ():
                semantic = f"{prefix}:s:{index}:{entry_id}".encode()
                key = details.exact_key(client, semantic)
                if key is not None and key.startswith(f"{prefix}:x:{entry_id}".encode()):
                    yield from (key, semantic)
        for key in client.scan_iter(f"{entries_of(self.namespace)}{entry_id}*", count=1000):
            if entry_of(key).startswith(entry_id.encode()):
                yield key

    def stock(self) -> Iterator[Stock]:
        """Count everything, and yield what is counted so far; the last one is complete."""
        with self.store.lent() as client:
            yield from counting.take_stock(client, self.namespace)

    def labels(self) -> Labels | None:
        """Return how many checked hits by meaning were right and wrong; None: no right to know."""
        try:
            self.service.learner.notebook.read()  # on a connection that gives no version
        except StoreTrouble as exc:
            if exc.reason != "redis_no_permission":
                raise
            return None
        return self.service.labels()

    def export(self, *, vectors: bool = True) -> Iterator[bytes]:
        """Yield a header and every entry as lines of JSON."""
        with self.store.lent() as client:
            yield from moving.export(client, self.namespace, _now_ms(), vectors=vectors)

    def take_in(self, lines: Iterable[bytes], *, overwrite: bool = False) -> Imported:
        """Store the entries of an export, each until it expires; see `Imported`.

        Raises:
            ConfigError: It is no export, or one that no request would find here.
        """
        each = iter(lines)
        header = header_of(next(each, b""))
        with self.store.lent() as client:
            return moving.take_in(
                client, self.namespace, header, each, _now_ms, overwrite=overwrite
            )

    def reject(self, entry_id: str, asked: str | None = None) -> bool:
        """Remove an entry whose answer is wrong, and never pair it with what was asked again."""
        self.store.ready(READY_S)
        found = self.service.reject(Rejected(entry_id, asked=asked))
        if asked:
            self.service.learner.notebook.write()
        return found

    def invalidate(self, documents: list[str], tags: list[str]) -> int:
        """Remove the entries of documents and tags in every process, and count them."""
        self.store.ready(READY_S)
        return self.service.invalidate(documents, tags)

    def clear(self) -> None:
        """Part from everything in every process, and delete it."""
        self.store.ready(READY_S)
        self.service.invalidate(everything=True)
        self.store.clear()
        with self.store.lent() as client:
            client.unlink(usage.hits_key(self.namespace))
            client.unlink(usage.used_key(self.namespace))

    def close(self) -> None:
        """Close the connections."""
        self.store.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
