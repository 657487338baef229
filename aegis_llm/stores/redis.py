"""Both tiers on Redis: blocking and awaited calls that send the same commands."""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

from aegis_llm.config import CacheConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.metrics.usage import usage_keys
from aegis_llm.plan import INVALIDATED, Put, Survey
from aegis_llm.scheduler.loops import PerLoop
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.stores import redis_commands as commands
from aegis_llm.stores.channel import channel_of
from aegis_llm.stores.deadline import within
from aegis_llm.stores.document_commands import known
from aegis_llm.stores.link import Link
from aegis_llm.stores.redis_about import About, about, indexes
from aegis_llm.stores.redis_clients import async_client, single_node, sync_client
from aegis_llm.stores.redis_invalidation import Invalidating
from aegis_llm.stores.redis_lending import Lending
from aegis_llm.stores.redis_lines import AsyncLines, Lines, transaction
from aegis_llm.stores.redis_many import ManyValues
from aegis_llm.stores.redis_notes import RedisNotes
from aegis_llm.stores.redis_records import Overtaken, Recorder, learn
from aegis_llm.stores.semantic import Semantic

_ADMIN_TIMEOUT_S = 3.0
_ADMIN_CONNECT_S = 2.0  # so that whoever waits for a hung Redis waits for 5 seconds in all
_SLOW = 0.59  # of the timeout: three of the five ticks of an awaited call are slow
T = TypeVar("T")
STARTING = StoreTrouble("redis_starting")
UNRESOLVED = StoreTrouble("redis_timeout")
INDEXING = StoreTrouble("index_starting")


class RedisStore(ManyValues, Invalidating, Lending):
    """A store on one Redis; makes no connection before its first use.

    `resolve` turns the configured URL into one to connect to (it may start a private server).
    A client of its own, with short timeouts and no retries, bounds what trouble can cost.
    """

    def __init__(
        self,
        config: CacheConfig,
        embedding_id: str | None,
        pool: DaemonPool,
        resolve: Callable[[str], str] = str,
    ) -> None:
        self._config = config
        self._resolve = resolve
        self._pool = pool
        self._url = ""
        self._direct = single_node(config.redis_url)
        self._sync: Lines | None = None
        self._timeout = config.redis_timeout_ms / 1000
        self._connect = config.redis_connect_timeout_ms / 1000
        patience, slow = self._timeout + self._connect, self._timeout * _SLOW
        self._link = Link(config.redis_url, self._contact, pool, patience, slow)
        self._async = PerLoop(
            lambda: AsyncLines(async_client(self._url), direct=self._direct),
            AsyncLines.aclose,
            AsyncLines.abandon,
        )
        self._notes = RedisNotes(config.namespace, self._link, self._admin, batch=self._direct)
        usable = embedding_id is not None and self._direct
        if usable:
            importlib.import_module("aegis_llm.stores.index_redisvl")  # slow: not on a request
        self._channel = channel_of(config.redis_url, config.namespace, config.local_max_age_s)
        self._joined = False
        self._known = known(config.namespace)
        self._recorder = Recorder(self._channel, direct=self._direct)
        self._semantic = (
            Semantic(config.namespace, str(embedding_id), pool, self._link.say) if usable else None
        )

    @property
    def link(self) -> Link:
        """The state of the connection."""
        return self._link

    @property
    def left_alone(self) -> bool:
        """Whether Redis is not asked, after repeated trouble."""
        return self._link.is_open

    def get(self, key: str) -> bytes | None:
        """Return the value of the exact tier; empty bytes stand for a foreign value."""
        lines = self._lines()
        started = time.perf_counter()
        try:
            data: bytes | None
            if self._channel.stale:
                updates = self._channel.updates
                data, *told = lines.several(("GET", key), *self._known)
                self._learned(told, updates)
            else:
                data = lines.call("GET", key)
        except Exception as exc:  # noqa: BLE001 - every error of the client is trouble
            return self._unless_foreign(exc)
        self._link.replied(time.perf_counter() - started)
        return data

    async def aget(self, key: str) -> bytes | None:
        """Like `get`, awaited."""
        lines = await self._alines()
        try:
            data: bytes | None
            if self._channel.stale:
                updates = self._channel.updates
                asked = lines.several(("GET", key), *self._known)
                data, *told = await within(self._budget(lines), asked, self._link.replied)
                self._learned(told, updates)
            else:
                data = await within(
                    self._budget(lines), lines.call("GET", key), self._link.replied
                )
        except Exception as exc:  # noqa: BLE001 - as in `get`
            return self._unless_foreign(exc)
        return data

    def put(self, put: Put) -> None:
        """Store in one tier with one command, or in both with one transaction.

        An entry with names is stored only if none of them was invalidated meanwhile, which takes
        a round trip more.
        """
        lines = self._lines()
        started = time.perf_counter()
        try:
            batch = self._batch(put)
            if put.names and self._recorder.able:
                self._recorder.put(lines, put, batch)
            elif len(batch) == 1:
                lines.call(*batch[0])
            else:
                lines.calls(*transaction(batch))
        except Overtaken as exc:
            raise StoreTrouble(INVALIDATED) from exc
        except Exception as exc:
            if not (put.names and self._recorder.refused(commands.reason_of(exc))):
                raise self._link.failed(exc) from exc
            self.put(put)
            return
        self._link.replied(time.perf_counter() - started)

    async def aput(self, put: Put) -> None:
        """Like `put`, awaited."""
        lines = await self._alines()
        try:
            batch = self._batch(put)
            storing: Awaitable[Any]
            if put.names and self._recorder.able:
                storing = self._recorder.aput(lines, put, batch)
            elif len(batch) == 1:
                storing = lines.call(*batch[0])
            else:
                storing = lines.calls(*transaction(batch))
            await within(self._budget(lines), storing, self._link.replied)
        except Overtaken as exc:
            raise StoreTrouble(INVALIDATED) from exc
        except Exception as exc:
            if not (put.names and self._recorder.refused(commands.reason_of(exc))):
                raise self._link.failed(exc) from exc
            await self.aput(put)
            return

    @property
    def searches(self) -> bool:
        """Whether the server may have the Query Engine."""
        return self._semantic is not None and self._semantic.searches

    def nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Return the nearest entries of a scope; makes the index when it is absent."""
        lines = self._lines()
        semantic = self._usable_semantic()
        if (making := semantic.ready(len(vector) // 4, self._admin)) is not None:
            wait(making, self._link.patience_s, INDEXING)
        started = time.perf_counter()
        try:
            search, sizing = semantic.commands(scope, vector, count)
            if sizing is None:
                reply = lines.call(*search)
            else:
                reply, size = lines.calls(search, sizing)
                semantic.sized(scope, commands.parse_count(size))
        except Exception as exc:
            raise self._search_failed(semantic, exc) from exc
        self._link.replied(time.perf_counter() - started)
        return commands.parse_search(reply)

    async def anearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Like `nearest`, awaited."""
        lines = await self._alines()
        semantic = self._usable_semantic()
        if (making := semantic.ready(len(vector) // 4, self._admin)) is not None:
            await await_(making, self._link.patience_s, INDEXING)
        try:
            search, sizing = semantic.commands(scope, vector, count)
            if sizing is None:
                reply = await within(self._budget(lines), lines.call(*search), self._link.replied)
            else:
                both = lines.calls(search, sizing)
                reply, size = await within(self._budget(lines), both, self._link.replied)
                semantic.sized(scope, commands.parse_count(size))
        except Exception as exc:
            raise self._search_failed(semantic, exc) from exc
        return commands.parse_search(reply)

    def survey(self, survey: Survey) -> list[tuple[bytes, float]]:
        """Return the nearest entries; an index that is absent stays absent."""
        lines = self._lines()
        search = self._usable_semantic().survey(survey)
        started = time.perf_counter()
        try:
            reply = lines.call(*search)
        except Exception as exc:
            raise self._survey_failed(exc) from exc
        self._link.replied(time.perf_counter() - started)
        return commands.parse_search(reply)

    async def asurvey(self, survey: Survey) -> list[tuple[bytes, float]]:
        """Like `survey`, awaited."""
        lines = await self._alines()
        search = self._usable_semantic().survey(survey)
        try:
            reply = await within(self._budget(lines), lines.call(*search), self._link.replied)
        except Exception as exc:
            raise self._survey_failed(exc) from exc
        return commands.parse_search(reply)

    def delete(self, key: str) -> None:
        """Delete one value."""
        lines = self._lines()
        try:
            lines.call("DEL", key)
        except Exception as exc:
            raise self._link.failed(exc) from exc

    async def adelete(self, key: str) -> None:
        """Like `delete`, awaited."""
        lines = await self._alines()
        try:
            await within(self._budget(lines), lines.call("DEL", key))
        except Exception as exc:
            raise self._link.failed(exc) from exc

    @property
    def notes(self) -> RedisNotes:
        """What was learnt, kept in the same Redis."""
        return self._notes

    def clear(self) -> None:
        """Delete every key of the namespace, found by SCAN; the index stays, empty."""
        client = self._lines().client
        try:
            found = client.scan_iter(commands.values_of(self._config.namespace), count=500)
            while keys := list(islice(found, 500)):
                client.unlink(*keys)
            client.unlink(*usage_keys(self._config.namespace))
        except Exception as exc:
            raise self._link.failed(exc) from exc

    async def aclear(self) -> None:
        """Like `clear`, awaited."""
        client = (await self._alines()).client
        try:
            found = client.scan_iter(commands.values_of(self._config.namespace), count=500)
            keys: list[Any] = []
            while (key := await within(_ADMIN_TIMEOUT_S, anext(found, None))) is not None:
                keys.append(key)
            keys += usage_keys(self._config.namespace)
            for start in range(0, len(keys), 500):
                await within(_ADMIN_TIMEOUT_S, client.unlink(*keys[start : start + 500]))
        except Exception as exc:
            raise self._link.failed(exc) from exc

    def ready(self, timeout_s: float) -> None:
        """Connect now; raise `StoreTrouble` when Redis does not answer in `timeout_s`."""
        making = self._link.first_contact()
        if making is not None:
            wait(making, timeout_s, STARTING)

    def about(self) -> About:
        """Look at the server, with long timeouts; for a warm-up."""
        return self._asked(lambda client: about(client, direct=self._direct))

    def has_index(self, dimension: int) -> bool | None:
        """Return whether the index is there; None: it may not be asked."""
        name = self._usable_semantic().index_name(dimension)
        names = self._asked(indexes)
        return None if names is None else name in names

    def make_index(self, dimension: int, timeout_s: float) -> None:
        """Make the index unless it is there, as the first search does."""
        if (making := self._usable_semantic().ready(dimension, self._admin)) is not None:
            wait(making, timeout_s, INDEXING)

    def close(self) -> None:
        """Close the blocking connections and stop listening; they open again when used."""
        self._channel.leave(self)
        self._joined = False
        if self._sync is not None:
            self._sync.close()
        self._notes.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and the blocking ones."""
        await self._async.aclose()
        self.close()

    def _contact(self) -> float:
        self._url = self._resolve(self._config.redis_url)  # a private server may have to start
        client = self._admin()
        try:
            client.ping()  # connects
            started = time.perf_counter()
            client.ping()
            seconds = time.perf_counter() - started
            self._channel.url = self._url
            learn(self._channel, client)
            return seconds
        finally:
            client.close()

    def _asked(self, ask: Callable[[Any], T]) -> T:
        client = self._admin()
        try:
            return ask(client)
        except Exception as exc:
            raise self._link.failed(exc) from exc
        finally:
            client.close()

    def _admin(self) -> Any:
        """A client with long timeouts, for the background and for a person's commands."""
        url = self._url or self._resolve(self._config.redis_url)
        return sync_client(url, _ADMIN_TIMEOUT_S, _ADMIN_CONNECT_S)

    def _lines(self, *, listening: bool = True) -> Lines:
        making = self._link.first_contact()
        if making is not None:
            wait(making, self._link.patience_s, STARTING)
        if listening and (self._channel.idle or not self._joined):
            self._join()
        if self._sync is None:
            try:
                client = sync_client(self._url, self._timeout, self._connect)
            except Exception as exc:
                raise self._link.failed(exc) from exc
            self._sync = Lines(client, direct=self._direct, bounded=self._bounded)
        return self._sync

    def _join(self) -> None:
        self._joined = True
        self._channel.join(self)

    def _bounded(self, connect: Callable[[], None]) -> None:
        wait(self._pool.submit(connect), self._timeout + self._connect, UNRESOLVED)

    async def _alines(self, *, listening: bool = True) -> AsyncLines:
        making = self._link.first_contact()
        if making is not None:
            await await_(making, self._link.patience_s, STARTING)
        if listening and (self._channel.idle or not self._joined):
            self._join()
        return await self._async.get()

    def _budget(self, lines: AsyncLines) -> float:
        return self._timeout if lines.connected else self._timeout + self._connect

    def _batch(self, put: Put) -> list[commands.Command]:
        both = None
        if put.semantic is not None and self._semantic is not None:
            both = self._semantic.store(put)
        return both or [commands.set_exact(put.key, put.data, put.ttl_ms)]

    def _usable_semantic(self) -> Semantic:
        if self._semantic is None:
            raise StoreTrouble("no_query_engine")
        return self._semantic

    def _unless_foreign(self, exc: Exception) -> bytes:
        if commands.reason_of(exc) == "foreign_value":
            return b""
        raise self._link.failed(exc) from exc

    def _search_failed(self, semantic: Semantic, exc: Exception) -> StoreTrouble:
        trouble = self._link.failed(exc)
        semantic.failed(trouble.reason)
        return trouble

    def _survey_failed(self, exc: Exception) -> StoreTrouble:
        reason = commands.reason_of(exc)
        return StoreTrouble(reason) if reason == "index_missing" else self._link.failed(exc)
