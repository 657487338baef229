"""The version of a namespace in Redis: a number that is never used twice, whatever is lost.

It is the time (in milliseconds) at which everything was invalidated, or the number after the last
one if that is greater. No version at all stands for nothing: a namespace without one gets one, so
that entries from before a version that was evicted are not found again. Only who has listened
without a break writes back the one that it knows: another may know one that is not the last.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from redis.exceptions import WatchError

from aegis_llm.stores import document_commands as documents
from aegis_llm.stores.redis_commands import reason_of

if TYPE_CHECKING:
    from aegis_llm.stores.channel import Channel

_ATTEMPTS = 100
_NOT_WRITABLE = frozenset({"redis_full", "redis_readonly", "redis_no_permission"})


def read(channel: Channel, client: Any) -> None:
    """Read version and sequence, and write back a version that Redis has lost."""
    updates = channel.updates
    replies = [client.execute_command(*one) for one in documents.known(channel.namespace)]
    told = documents.numbers(replies)[0]
    if not told or told < channel.version:
        try:
            replies[0] = _mended(channel, client, absent=replies[0] is None)
        except Exception as exc:
            if reason_of(exc) not in _NOT_WRITABLE:
                raise
            replies[0] = channel.version or _now_ms()  # of this process alone, until it is written
    channel.learned(replies, updates)


def renewed(channel: Channel, client: Any) -> int:
    """Count a new version of the namespace, greater than any that is known."""
    version = _raised(channel, client, least=None)
    channel.made(version)
    return version


def _mended(channel: Channel, client: Any, *, absent: bool) -> int:
    """Give Redis a version that is no older than what is known here, and return it."""
    if absent:
        key, known = documents.version_key(channel.namespace), _still_known(channel)
        client.execute_command("SET", key, known, "NX")
        told = documents.number(client.execute_command("GET", key))
        if not told or told >= channel.version:
            return told or known
    return _raised(channel, client, least=max(channel.version, 1))


def _still_known(channel: Channel) -> int:
    """Return the known version, or a new one if a later one may have gone by unheard."""
    if channel.version and channel.listening:
        return channel.version
    return max(channel.version + 1, _now_ms())


def _raised(channel: Channel, client: Any, least: int | None) -> int:
    """Set a new version, unless there is one of at least `least`; return the one that holds."""
    key = documents.version_key(channel.namespace)

    for _ in range(_ATTEMPTS):
        with client.pipeline(transaction=True) as pipeline:
            pipeline.watch(key)
            told = documents.number(pipeline.get(key))
            if least is not None and told >= least:
                return told
            version = max(told + 1, channel.version + 1, _now_ms())
            pipeline.multi()
            pipeline.set(key, version)
            with contextlib.suppress(WatchError):  # another one was faster
                pipeline.execute()
                return version
    raise WatchError


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
