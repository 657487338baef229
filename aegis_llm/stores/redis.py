"""Both tiers on Redis: blocking and awaited calls that send the same commands."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import islice
from typing import Any

from aegis_llm.config import CacheConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.plan import Put
from aegis_llm.scheduler.loops import PerLoop
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.stores import redis_commands as commands
from aegis_llm.stores.deadline import within
from aegis_llm.stores.link import Link
from aegis_llm.stores.redis_clients import async_client, single_node, sync_client
from aegis_llm.stores.redis_lines import Lines
from aegis_llm.stores.semantic import Semantic

_ADMIN_TIMEOUT_S = 5.0
STARTING = StoreTrouble("redis_starting")
INDEXING = StoreTrouble("index_starting")


class RedisStore:
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
        self._url = ""
        self._sync: Any = None
        self._call: Any = None
        self._lines: Lines | None = None
        self._timeout = config.redis_timeout_ms / 1000
        self._connect = config.redis_connect_timeout_ms / 1000
        self._link = Link(config.redis_url, self._contact, pool, self._timeout + self._connect)
        self._async = PerLoop(lambda: async_client(self._url), lambda client: client.aclose())
        usable = embedding_id is not None and single_node(config.redis_url)
        if usable:
            importlib.import_module("aegis_llm.stores.index_redisvl")  # slow: not on a request
        self._semantic = (
            Semantic(config.namespace, str(embedding_id), pool, self._link.say) if usable else None
        )

    @property
    def link(self) -> Link:
        """The state of the connection."""
        return self._link

    def get(self, key: str) -> bytes | None:
        """Return the value of the exact tier; empty bytes stand for a foreign value."""
        self._client()
        try:
            data: bytes | None = self._call("GET", key)
        except Exception as exc:  # noqa: BLE001 - every error of the client is trouble
            return self._unless_foreign(exc)
        self._link.worked()
        return data

    async def aget(self, key: str) -> bytes | None:
        """Like `get`, awaited."""
        client = await self._aclient()
        try:
            data: bytes | None = await within(self._budget(client), client.get(key))
        except Exception as exc:  # noqa: BLE001
            return self._unless_foreign(exc)
        self._link.worked()
        return data

    def put(self, put: Put) -> None:
        """Store in one tier with one command, or in both with one transaction."""
        client = self._client()
        try:
            if (batch := self._batch(put)) is None:
                self._call(*commands.set_exact(put.key, put.data, put.ttl_ms))
            else:
                with client.pipeline(transaction=True) as pipe:
                    for command in batch:
                        pipe.execute_command(*command)
                    pipe.execute()
        except Exception as exc:
            raise self._link.failed(exc) from exc
        self._link.worked()

    async def aput(self, put: Put) -> None:
        """Like `put`, awaited."""
        client = await self._aclient()
        try:
            if (batch := self._batch(put)) is None:
                command = commands.set_exact(put.key, put.data, put.ttl_ms)
                await within(self._budget(client), client.execute_command(*command))
            else:
                async with client.pipeline(transaction=True) as pipe:
                    for command in batch:
                        pipe.execute_command(*command)
                    await within(self._budget(client), pipe.execute())
        except Exception as exc:
            raise self._link.failed(exc) from exc
        self._link.worked()

    def nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Return the nearest entries of a scope; makes the index when it is absent."""
        client = self._client()
        semantic = self._usable_semantic()
        if (making := semantic.ready(len(vector) // 4, self._admin)) is not None:
            wait(making, self._link.patience_s, INDEXING)
        try:
            search, sizing = semantic.commands(scope, vector, count)
            if sizing is None:
                reply = self._call(*search)
            else:
                with client.pipeline(transaction=False) as pipe:
                    pipe.execute_command(*search)
                    pipe.execute_command(*sizing)
                    reply, size = pipe.execute()
                semantic.sized(scope, commands.parse_count(size))
        except Exception as exc:
            raise self._search_failed(semantic, exc) from exc
        self._link.worked()
        return commands.parse_search(reply)

    async def anearest(self, scope: str, vector: bytes, count: int) -> list[tuple[bytes, float]]:
        """Like `nearest`, awaited."""
        client = await self._aclient()
        semantic = self._usable_semantic()
        if (making := semantic.ready(len(vector) // 4, self._admin)) is not None:
            await await_(making, self._link.patience_s, INDEXING)
        try:
            search, sizing = semantic.commands(scope, vector, count)
            if sizing is None:
                reply = await within(self._budget(client), client.execute_command(*search))
            else:
                async with client.pipeline(transaction=False) as pipe:
                    pipe.execute_command(*search)
                    pipe.execute_command(*sizing)
                    reply, size = await within(self._budget(client), pipe.execute())
                semantic.sized(scope, commands.parse_count(size))
        except Exception as exc:
            raise self._search_failed(semantic, exc) from exc
        self._link.worked()
        return commands.parse_search(reply)

    def delete(self, key: str) -> None:
        """Delete one value."""
        client = self._client()
        try:
            client.delete(key)
        except Exception as exc:
            raise self._link.failed(exc) from exc

    async def adelete(self, key: str) -> None:
        """Like `delete`, awaited."""
        client = await self._aclient()
        try:
            await within(self._budget(client), client.delete(key))
        except Exception as exc:
            raise self._link.failed(exc) from exc

    def clear(self) -> None:
        """Delete every key of the namespace, found by SCAN; the index stays, empty."""
        client = self._client()
        try:
            found = client.scan_iter(commands.entries_of(self._config.namespace), count=500)
            while keys := list(islice(found, 500)):
                client.unlink(*keys)
        except Exception as exc:
            raise self._link.failed(exc) from exc

    async def aclear(self) -> None:
        """Like `clear`, awaited."""
        client = await self._aclient()
        try:
            found = client.scan_iter(commands.entries_of(self._config.namespace), count=500)
            keys = [key async for key in found]
            for start in range(0, len(keys), 500):
                await within(_ADMIN_TIMEOUT_S, client.unlink(*keys[start : start + 500]))
        except Exception as exc:
            raise self._link.failed(exc) from exc

    def ready(self, timeout_s: float) -> None:
        """Connect now; raise `StoreTrouble` when Redis does not answer in `timeout_s`."""
        making = self._link.first_contact()
        if making is not None:
            wait(making, timeout_s, STARTING)

    def close(self) -> None:
        """Close the blocking connections; they open again when used."""
        if self._sync is not None:
            self._sync.close()
        if self._lines is not None:
            self._lines.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop, and the blocking ones."""
        await self._async.aclose()
        self.close()

    def _contact(self) -> None:
        self._url = self._resolve(self._config.redis_url)  # a private server may have to start
        client = self._admin()
        try:
            client.ping()
        finally:
            client.close()

    def _admin(self) -> Any:
        """A client with long timeouts, for the background and for a person's commands."""
        url = self._url or self._resolve(self._config.redis_url)
        return sync_client(url, _ADMIN_TIMEOUT_S, _ADMIN_TIMEOUT_S)

    def _client(self) -> Any:
        making = self._link.first_contact()
        if making is not None:
            wait(making, self._link.patience_s, STARTING)
        if self._sync is None:
            try:
                client = sync_client(self._url, self._timeout, self._connect)
            except Exception as exc:
                raise self._link.failed(exc) from exc
            if single_node(self._config.redis_url):
                self._lines = Lines(client)
            self._call = client.execute_command if self._lines is None else self._lines.call
            self._sync = client
        return self._sync

    async def _aclient(self) -> Any:
        making = self._link.first_contact()
        if making is not None:
            await await_(making, self._link.patience_s, STARTING)
        return await self._async.get()

    def _budget(self, client: Any) -> float:
        pool = getattr(client, "connection_pool", None)
        connected = bool(getattr(pool, "_available_connections", ()))
        return self._timeout if connected else self._timeout + self._connect

    def _batch(self, put: Put) -> list[commands.Command] | None:
        if put.semantic is None or self._semantic is None:
            return None
        return self._semantic.store(put)

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
