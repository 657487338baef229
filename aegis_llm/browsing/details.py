"""Reads entries by their keys, with what is known about their use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aegis_llm import codec
from aegis_llm.browsing.keyspace import servers
from aegis_llm.browsing.values import Seen
from aegis_llm.metrics.usage import hits_key, used_key
from aegis_llm.stores.redis_commands import reason_of
from aegis_llm.values import Entry

_BEARABLE = frozenset({"foreign_value", "redis_no_permission"})
_ABSENT = -2  # what PTTL says of a key that is not there


class Found(NamedTuple):
    """A value that was read; `other` is where the other tier keeps it, or did, where known."""

    key: bytes
    size: int
    entry: Entry
    other: bytes = b""


def asked(client: Any, commands: Iterable[Sequence[Any]]) -> list[Any]:
    """Send commands in one go; a reply that is a foreign value or a refusal is None."""
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        replies = pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception) and reason_of(reply) not in _BEARABLE:
            raise reply
    return [None if isinstance(reply, Exception) else reply for reply in replies]


def entries(client: Any, keys: Sequence[bytes]) -> list[Found]:
    """Return what keys hold, in their order; those without an entry are left out.

    A hash of the semantic tier stands for an entry only where Redis has no longer the one of the
    exact tier: it was evicted, say, and is found by rewording still.
    """
    exact = [key for key in keys if not _semantic(key)]
    values = {key: (value, b"") for key, value in zip(exact, _values(client, exact), strict=True)}
    values |= _left_alone(client, [key for key in keys if _semantic(key)])
    found = []
    for key in keys:
        value, other = values.get(key, (None, b""))
        entry = codec.decode(value) if isinstance(value, bytes) else None
        if entry is not None:
            found.append(Found(key, len(value), entry, other))
    return found


def _values(client: Any, keys: Sequence[bytes]) -> list[Any]:
    if not keys:
        return []
    if servers(client) is not None:  # a cluster has no MGET over its servers
        return asked(client, [("GET", key) for key in keys])
    return list(client.execute_command("MGET", *keys))


def _left_alone(client: Any, keys: Sequence[bytes]) -> dict[bytes, tuple[Any, bytes]]:
    """Return the values of those hashes whose entry the exact tier has not, and its key there."""
    if not keys:
        return {}
    told = asked(client, [("HGET", key, "exact") for key in keys])
    named = {key: exact for key, exact in zip(keys, told, strict=True) if _exact(exact)}
    there = asked(client, [("EXISTS", exact) for exact in named.values()])
    left = [key for key, exists in zip(named, there, strict=True) if exists == 0]
    values = asked(client, [("HGET", key, "value") for key in left])
    return {key: (value, named[key]) for key, value in zip(left, values, strict=True)}


def exact_key(client: Any, key: bytes) -> bytes | None:
    """Return the key of the exact tier of what was found under one of either tier."""
    if not _semantic(key):
        return key
    told = asked(client, [("HGET", key, "exact")])[0]
    return told if _exact(told) else None


def _semantic(key: bytes) -> bool:
    return key.split(b":", 4)[3:4] == [b"s"]


def _exact(key: Any) -> bool:
    return isinstance(key, bytes) and key.split(b":", 4)[3:4] == [b"x"]


def seen(client: Any, namespace: str, found: Sequence[Found]) -> tuple[Seen, ...]:
    """Return entries with time to live, hits and last use; those gone meanwhile are left out."""
    if not found:
        return ()
    commands: list[Sequence[Any]] = [("PTTL", one.key) for one in found]
    commands += [("HGET", hits_key(namespace), one.entry.key) for one in found]
    commands += [("ZSCORE", used_key(namespace), one.entry.key) for one in found]
    replies = asked(client, commands)
    count = len(found)
    keys = {one.key: (one.key, ttl) for one, ttl in zip(found, replies, strict=False)}
    others = [one for one in found if one.other and keys[one.key][1] == _ABSENT]
    lives = asked(client, [("PTTL", one.other) for one in others]) if others else []
    keys |= {one.key: (one.other, ttl) for one, ttl in zip(others, lives, strict=True)}
    parts = zip(found, replies[count:], replies[2 * count :], strict=False)
    return tuple(
        Seen(
            entry=entry,
            key=at.decode("utf-8", "replace"),
            size=size,
            ttl_ms=None if ttl is None or int(ttl) < 0 else int(ttl),
            hits=whole(hits),
            used_ms=whole(used),
        )
        for (key, size, entry, _), hits, used in parts
        for at, ttl in [keys[key]]
        if ttl != _ABSENT
    )


def whole(reply: Any) -> int | None:
    """Return the whole number of a reply; None: it is none."""
    try:
        return None if reply is None else int(float(reply))
    except (TypeError, ValueError, OverflowError):
        return None
