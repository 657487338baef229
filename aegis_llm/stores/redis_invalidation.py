"""Invalidation on Redis: what a person orders, with the time that it takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from aegis_llm import events
from aegis_llm.errors import StoreTrouble
from aegis_llm.names import Names
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.stores import document_commands as documents
from aegis_llm.stores import versions
from aegis_llm.stores.channel import Channel
from aegis_llm.stores.link import Link
from aegis_llm.stores.redis_commands import reason_of
from aegis_llm.stores.redis_sweep import evicts, made_from
from aegis_llm.stores.redis_usage import forget_hits

_PATIENCE_S = 60.0
_AT_ONCE = 500
_NOT_DONE = "it may be done in part or not at all; do it again when Redis answers"
LATE = StoreTrouble("redis_timeout", _NOT_DONE)
CLOSED = StoreTrouble("redis_breaker_open")


class Invalidating:
    """The part of a store on Redis that invalidates, and tells the other processes.

    It works in the background pool on connections with long timeouts, for blocking and awaited
    callers alike, and tries also while requests leave Redis alone.
    """

    _channel: Channel
    _link: Link
    _pool: DaemonPool
    _admin: Callable[..., Any]

    @property
    def numbers(self) -> tuple[int, int]:
        """The version of everything, and how often documents and tags were invalidated."""
        return self._channel.numbers

    @property
    def changed(self) -> float:
        """When the numbers changed last, by the monotonic clock."""
        return self._channel.changed

    @property
    def doubtful(self) -> bool:
        """Whether Redis can be asked for the numbers and was not for long."""
        return self._channel.stale and self._link.reached and not self._link.is_open

    def invalidate(self, names: Names) -> int:
        """Remove the entries of these names in both tiers, tell all processes, and count them."""
        return int(wait(self._pool.submit(self._do, _invalidate, names), _PATIENCE_S, LATE))

    async def ainvalidate(self, names: Names) -> int:
        """Like `invalidate`, awaited."""
        doing = self._pool.submit(self._do, _invalidate, names)
        return int(await await_(doing, _PATIENCE_S, LATE))

    def renew(self) -> int:
        """Part from all entries with a new version; tell it to all processes."""
        return int(wait(self._pool.submit(self._do, _renew), _PATIENCE_S, LATE))

    async def arenew(self) -> int:
        """Like `renew`, awaited."""
        return int(await await_(self._pool.submit(self._do, _renew), _PATIENCE_S, LATE))

    def publish(self, event: bytes) -> None:
        """Tell everyone who subscribed to the namespace: here at once, elsewhere soon."""
        self._channel.hearers.tell(event)
        if self._link.is_open:
            raise CLOSED
        wait(self._pool.submit(self._do, _publish, event), _PATIENCE_S, LATE)

    def subscribe(self, handler: Callable[[bytes], None]) -> None:
        """Call a method with every event of the namespace."""
        self._channel.hearers.add(handler)

    def _learned(self, replies: Any, updates: int) -> None:
        """Take over what a look-up was told; a version that Redis lost is written back soon."""
        if self._channel.learned(replies, updates):
            self._pool.submit(self._do, versions.read)

    def _do(self, order: Callable[..., Any], *args: Any) -> Any:
        try:
            client = self._admin()
            try:
                return order(self._channel, client, *args)
            finally:
                client.close()
        except Exception as exc:
            raise StoreTrouble(self._link.failed(exc).reason, _NOT_DONE) from exc


def _invalidate(channel: Channel, client: Any, names: Names) -> int:
    """Remove the entries of these names from Redis, tell all processes, and count them."""
    namespace = channel.namespace
    sequence = _next(channel, client)
    commands = documents.invalidation(namespace, names, sequence)
    found = {
        key
        for reply in (client.execute_command(*command) for command in commands)
        if isinstance(reply, list)
        for key in reply
    }
    found |= _forgotten(channel, client, names)
    removed: set[bytes] = set()
    keys = iter(sorted(found))
    while some := list(islice(keys, _AT_ONCE)):
        with client.pipeline(transaction=False) as pipeline:
            for key in some:
                pipeline.execute_command("UNLINK", key)
            for key, gone in zip(some, pipeline.execute(), strict=True):
                if gone:
                    removed.add(documents.entry_of(key))
    forget_hits(client, namespace, removed)
    _tell(channel, client, events.Invalidated(names))
    return len(removed)


def _next(channel: Channel, client: Any) -> int:
    """Return the number of an invalidation that begins."""
    updates, number = channel.counting(), 0
    try:
        number = int(client.execute_command("INCR", documents.sequence_key(channel.namespace)))
    finally:
        channel.counted(number, updates)
    return number


def _forgotten(channel: Channel, client: Any, names: Names) -> set[bytes]:
    """Return the keys that nothing may remember, because Redis evicts."""
    try:
        return made_from(client, channel.namespace, names) if evicts(client) else set()
    except Exception as exc:
        if reason_of(exc) != "redis_no_permission":
            raise
        channel.lacks("sweep")
        return set()


def _renew(channel: Channel, client: Any) -> int:
    """Count a new version of the namespace and tell all processes."""
    version = versions.renewed(channel, client)
    forget_hits(client, channel.namespace)
    _tell(channel, client, events.Renewed(version))
    return version


def _tell(channel: Channel, client: Any, event: events.Event) -> None:
    told = events.encode(event)
    channel.hearers.tell(told)
    try:
        _publish(channel, client, told)
    except Exception as exc:
        if reason_of(exc) != "redis_no_permission":
            raise
        channel.lacks("publish")


def _publish(channel: Channel, client: Any, event: bytes) -> None:
    client.execute_command("PUBLISH", channel.name, channel.sealed(event))
