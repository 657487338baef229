"""What Redis is told about documents and tags: who was made from them, and what is invalid. Pure.

Under each name the keys of its entries are kept in sorted sets, with the time of their expiry as
score, so that the dead ones can be trimmed. An entry that lives longer goes to a set that lives
longer: a set's expiry is set anew with every member, and is never shorter than a member's.

An invalidation gets the next number of its namespace and leaves it under each name for an hour. An
answer that was asked for before that number is not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aegis_llm.keys import SCHEMA
from aegis_llm.names import Names
from aegis_llm.plan import Put
from aegis_llm.stores.redis_commands import Command

_DAY_MS = 86_400_000
_LIVES = (("d", _DAY_MS), ("m", 31 * _DAY_MS), ("y", 11 * 366 * _DAY_MS))
_REMEMBERED_MS = 3_600_000
_SKEW_MS = _DAY_MS


def version_key(namespace: str) -> str:
    """Return the key of the version: when everything was invalidated last."""
    return f"aegis:{SCHEMA}:{namespace}:n:version"


def sequence_key(namespace: str) -> str:
    """Return the key that counts how often documents and tags were invalidated."""
    return f"aegis:{SCHEMA}:{namespace}:n:sequence"


def channel_name(namespace: str) -> str:
    """Return the name of the Pub/Sub channel of a namespace."""
    return f"aegis:{SCHEMA}:{namespace}:events"


def known(namespace: str) -> list[Command]:
    """Return the commands that ask for version and sequence; see `numbers`."""
    return [("GET", version_key(namespace)), ("GET", sequence_key(namespace))]


def numbers(replies: Sequence[Any]) -> tuple[int, int]:
    """Return version and sequence; what is no number counts as none."""
    version, sequence = (number(reply) for reply in replies)
    return version, sequence


def guard(namespace: str, names: Names) -> list[Command]:
    """Return the commands that look whether an entry may be stored, and watch that it stays so."""
    marks = [_mark(namespace, name) for name in names]
    asked = [("GET", key) for key in (*marks, sequence_key(namespace))]
    return [("WATCH", *marks), *asked]


def overtaken(replies: Sequence[Any], sequence: int) -> bool:
    """Return whether one of the names was invalidated after the first `sequence` times.

    `replies` are those of the GETs of `guard`. A count that went back was deleted: who knows.
    """
    *marks, counted = (number(reply) for reply in replies)
    return counted < sequence or any(mark > sequence for mark in marks)


def records(namespace: str, put: Put, members: Iterable[str], now_ms: int) -> list[Command]:
    """Return the commands that keep an entry's keys under its names."""
    life, life_ms = next((each for each in _LIVES if put.ttl_ms <= each[1]), _LIVES[-1])
    scored = [each for key in members for each in (now_ms + put.ttl_ms, key)]
    made: list[Command] = []
    for name in put.names:
        key = f"{_made_from(namespace, name)}:{life}"
        made += [
            ("ZREMRANGEBYSCORE", key, "-inf", now_ms - _SKEW_MS),
            ("ZADD", key, *scored),
            ("PEXPIRE", key, max(life_ms, put.ttl_ms)),
        ]
    return made


def invalidation(namespace: str, names: Names, sequence: int) -> list[Command]:
    """Return the commands that make names invalid, and then those that read their entries."""
    marks: list[Command] = [
        ("SET", _mark(namespace, name), sequence, "PX", _REMEMBERED_MS) for name in names
    ]
    found = [
        ("ZRANGE", f"{_made_from(namespace, name)}:{life}", 0, -1)
        for name in names
        for life, _ in _LIVES
    ]
    return [*marks, *found]


def entry_of(key: bytes) -> bytes:
    """Return what the keys of one entry in both tiers have in common: its hash."""
    parts = key.split(b":")
    return parts[4] if parts[3:4] == [b"x"] and len(parts) > 4 else parts[-1]


def _mark(namespace: str, name: str) -> str:
    return f"aegis:{SCHEMA}:{namespace}:t:{name}"


def _made_from(namespace: str, name: str) -> str:
    return f"aegis:{SCHEMA}:{namespace}:m:{name}"


def number(reply: Any) -> int:
    """Return the number of a reply; none is 0, and so is what is no number."""
    try:
        return int(reply or 0)
    except (TypeError, ValueError):
        return 0
