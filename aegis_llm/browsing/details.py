"""Reads entries by their keys, with what is known about their use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aegis_llm import codec
from aegis_llm.browsing.values import Seen
from aegis_llm.metrics.usage import hits_key, used_key
from aegis_llm.stores.redis_commands import reason_of
from aegis_llm.values import Entry

_BEARABLE = frozenset({"foreign_value", "redis_no_permission"})


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


def entries(client: Any, keys: Sequence[bytes]) -> list[tuple[bytes, int, Entry]]:
    """Return keys of the exact tier with size and entry; those without one are left out."""
    if not keys:
        return []
    if hasattr(client, "get_primaries"):  # a cluster has no MGET over its servers
        values = asked(client, [("GET", key) for key in keys])
    else:
        values = client.execute_command("MGET", *keys)
    found = []
    for key, value in zip(keys, values, strict=True):
        entry = codec.decode(value) if isinstance(value, bytes) else None
        if entry is not None:
            found.append((key, len(value), entry))
    return found


def seen(
    client: Any, namespace: str, found: Sequence[tuple[bytes, int, Entry]]
) -> tuple[Seen, ...]:
    """Return entries with time to live, hits and last use; those gone meanwhile are left out."""
    if not found:
        return ()
    commands: list[Sequence[Any]] = [("PTTL", key) for key, _, _ in found]
    commands += [("HGET", hits_key(namespace), entry.key) for _, _, entry in found]
    commands += [("ZSCORE", used_key(namespace), entry.key) for _, _, entry in found]
    replies = asked(client, commands)
    count = len(found)
    parts = zip(found, replies, replies[count:], replies[2 * count :], strict=False)
    return tuple(
        Seen(
            entry=entry,
            key=key.decode("utf-8", "replace"),
            size=size,
            ttl_ms=None if ttl is None or int(ttl) < 0 else int(ttl),
            hits=whole(hits),
            used_ms=whole(used),
        )
        for (key, size, entry), ttl, hits, used in parts
        if ttl is None or int(ttl) != -2  # there is no such key
    )


def whole(reply: Any) -> int | None:
    """Return the whole number of a reply; None: it is none."""
    try:
        return None if reply is None else int(float(reply))
    except (TypeError, ValueError, OverflowError):
        return None
