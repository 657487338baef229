"""The semantic tier's state on one Redis: is the index there, and how big is a scope."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from aegis_llm.errors import StoreTrouble
from aegis_llm.plan import Put, Survey
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.redis_commands import Command, reason_of, semantic_fields, set_exact

if TYPE_CHECKING:
    from aegis_llm.stores.index_redisvl import SemanticIndex

_SIZES_KEPT = 4096
_SIZE_AGE_S = 30.0
_RETRY_S = 30.0


class Semantic:
    """Makes the index in the background when it is absent, and picks the policy of each search."""

    def __init__(
        self, namespace: str, embedding_id: str, pool: DaemonPool, say: Callable[[str], None]
    ) -> None:
        self._say = say
        self._namespace = namespace
        self._embedding_id = embedding_id
        self._pool = pool
        self._index: SemanticIndex | None = None
        self._made = False
        self._absent_until = 0.0
        self._sizes: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget a making that no thread of a forked child will end."""
        self._lock = threading.Lock()
        self._making: Future[None] | None = None

    @property
    def searches(self) -> bool:
        """Whether the server has the Query Engine as far as is known; asked every half minute."""
        return time.monotonic() >= self._absent_until

    def ready(self, dimension: int, client: Callable[[], Any]) -> Future[None] | None:
        """Return None when the index can be searched, else the future of its making.

        Raises:
            StoreTrouble: The server has no Query Engine (asked again after half a minute).
        """
        if self._made and self._index is not None and self._index.dimension == dimension:
            return None
        with self._lock:
            if not self.searches:
                raise StoreTrouble("no_query_engine")
            if self._making is None or self._making.done():
                self._making = self._pool.submit(self._make, dimension, client)
            return self._making

    def index_name(self, dimension: int) -> str:
        """Return the name of the index for vectors of this dimension."""
        return self._index_of(dimension).name

    def commands(self, scope: str, vector: bytes, count: int) -> tuple[Command, Command | None]:
        """Return the search, and the count of the scope when that is not known or is old."""
        index = self._index
        if index is None or 4 * index.dimension != len(vector):
            raise StoreTrouble("index_missing")
        known = self._sizes.get(scope)
        if known is not None and time.monotonic() - known[1] < _SIZE_AGE_S:
            return index.search(scope, vector, count, known[0]), None
        size = None if known is None else known[0]
        return index.search(scope, vector, count, size), index.count(scope)

    def survey(self, survey: Survey) -> Command:
        """Return the search of a person's question: it is the same whether the index is there."""
        if not self.searches:
            raise StoreTrouble("no_query_engine")
        index = self._index
        if index is None or 4 * index.dimension != len(survey.vector):
            index = self._index_of(len(survey.vector) // 4)
        if survey.scope is None:
            return index.survey(survey.tenant, survey.vector, survey.count)
        known = self._sizes.get(survey.scope, (None, 0.0))
        return index.search(survey.scope, survey.vector, survey.count, known[0])

    def sized(self, scope: str, size: int) -> None:
        """Note how many entries a scope has."""
        with self._lock:
            self._sizes[scope] = (size, time.monotonic())
            self._sizes.move_to_end(scope)
            while len(self._sizes) > _SIZES_KEPT:
                self._sizes.popitem(last=False)

    def store(self, put: Put) -> list[Command] | None:
        """Return the commands of one transaction for both tiers; None: the exact tier alone."""
        record = put.semantic
        if record is None or not self.searches:
            return None
        index = self._index
        if index is None or 4 * index.dimension != len(record.vector):
            index = self._index_of(len(record.vector) // 4)
        key = index.prefix + record.entry_id
        fields = semantic_fields(record, put.key, put.data)
        return [
            set_exact(put.key, put.data, put.ttl_ms),
            ("HSET", key, *fields),
            ("PEXPIRE", key, put.ttl_ms),
        ]

    def failed(self, reason: str) -> None:
        """Note why a search failed: a missing index is made again at the next one."""
        if reason in ("index_missing", "no_query_engine"):
            self._made = False
        if reason == "no_query_engine":
            self._absent_until = time.monotonic() + _RETRY_S

    def _make(self, dimension: int, client: Callable[[], Any]) -> None:
        index = self._index_of(dimension)
        connected = client()
        try:
            index.create(connected)
        except Exception as exc:
            reason = reason_of(exc)
            self.failed(reason)
            self._say(reason)
            raise StoreTrouble(reason) from exc
        finally:
            connected.close()
        self._index = index
        self._made = True

    def _index_of(self, dimension: int) -> SemanticIndex:
        from aegis_llm.stores.index_redisvl import SemanticIndex

        return SemanticIndex(self._namespace, self._embedding_id, dimension)
