"""How often single entries answered, and when last: two keys of a namespace, written in batches.

`n:hits` is a hash (entry id -> count), `n:used` a sorted set (entry id -> milliseconds since
1970). Both keep what was used within the `ttl` of the cache, at most 100,000 entries. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

MOST_USED = 100_000
"""Entries whose use is kept; those not used for longest go first."""
_AT_ONCE = 500
Command = tuple[Any, ...]


class Usage(msgspec.Struct, frozen=True):
    """How often an entry answered, and when it did so last; a few seconds behind."""

    hits: int
    used_ms: int


def hits_key(namespace: str) -> str:
    """Return the key of the hash of hits."""
    return f"aegis:v1:{namespace}:n:hits"


def used_key(namespace: str) -> str:
    """Return the key of the sorted set of last uses."""
    return f"aegis:v1:{namespace}:n:used"


def usage_keys(namespace: str) -> tuple[str, str]:
    """Return both keys."""
    return hits_key(namespace), used_key(namespace)


def adding(namespace: str, hits: Mapping[str, int], now_ms: int, keep_ms: int) -> list[Command]:
    """Return the commands that count hits, used now, and then those that tell what is too old.

    The last two replies are the ids that were not used for `keep_ms`, and how many there are.
    """
    counts, used = hits_key(namespace), used_key(namespace)
    made: list[Command] = [("HINCRBY", counts, id_, count) for id_, count in hits.items()]
    ids = list(hits)
    for start in range(0, len(ids), _AT_ONCE):
        scored = [each for id_ in ids[start : start + _AT_ONCE] for each in (now_ms, id_)]
        made.append(("ZADD", used, *scored))
    return [
        *made,
        ("PEXPIRE", counts, keep_ms),
        ("PEXPIRE", used, keep_ms),
        ("ZRANGEBYSCORE", used, "-inf", f"({now_ms - keep_ms}", "LIMIT", 0, MOST_USED),
        ("ZCARD", used),
    ]


def oldest(namespace: str, too_many: int) -> Command:
    """Return the command that tells the ids that were not used for longest."""
    return ("ZRANGE", used_key(namespace), 0, too_many - 1)


def forgetting(namespace: str, ids: Iterable[Any]) -> list[Command]:
    """Return the commands that forget entries."""
    told = list(ids)
    return [
        command
        for start in range(0, len(told), _AT_ONCE)
        for some in [told[start : start + _AT_ONCE]]
        for command in (
            ("HDEL", hits_key(namespace), *some),
            ("ZREM", used_key(namespace), *some),
        )
    ]


def usage_of(client: Any, namespace: str, entry_ids: Sequence[str]) -> dict[str, Usage]:
    """Return the use of entries, as far as it is known, from a client of redis-py (blocking).

    Raises:
        redis.RedisError: What the client raises.
    """
    found: dict[str, Usage] = {}
    for start in range(0, len(entry_ids), _AT_ONCE):
        some = entry_ids[start : start + _AT_ONCE]
        counts = client.hmget(hits_key(namespace), some)
        times = client.zmscore(used_key(namespace), some)
        for id_, count, used in zip(some, counts, times, strict=True):
            if (usage := _usage(count, used)) is not None:
                found[id_] = usage
    return found


def _usage(count: Any, used: Any) -> Usage | None:
    try:
        return Usage(int(count), int(used or 0)) if count is not None else None
    except (TypeError, ValueError):
        return None
