"""What is sent to Redis and how its replies and errors are read. Pure: no client, no socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis_llm.plan import SemanticRecord

TAG_SEPARATOR = "\x1f"
DISTANCE = "vector_distance"
Command = tuple[Any, ...]

_BY_CLASS = {
    "AuthenticationError": "redis_auth",
    "AuthorizationError": "redis_auth",
    "AuthenticationWrongNumberOfArgsError": "redis_auth",
    "BusyLoadingError": "redis_loading",
    "ReadOnlyError": "redis_readonly",
    "OutOfMemoryError": "redis_full",
    "NoPermissionError": "redis_no_permission",
    "TimeoutError": "redis_timeout",
}
_BY_TEXT = (
    ("noauth", "redis_auth"),
    ("wrongpass", "redis_auth"),
    ("oom ", "redis_full"),
    ("misconf", "redis_readonly"),
    ("readonly", "redis_readonly"),
    ("noperm", "redis_no_permission"),
    ("unknown index name", "index_missing"),
    ("no such index", "index_missing"),
    ("index not found", "index_missing"),
    ("wrongtype", "foreign_value"),
    ("unknown command", "no_query_engine"),
)
_CONNECTION_REASONS = frozenset({"redis_timeout", "redis_down", "redis_auth", "redis_loading"})


def reason_of(error: BaseException) -> str:
    """Return the short reason of an error that a Redis client raised."""
    text = str(error).lower()
    for kind in type(error).__mro__:
        if reason := _BY_CLASS.get(kind.__name__):
            return reason
    for words, reason in _BY_TEXT:
        if words in text:
            return reason
    if isinstance(error, OSError) or any(
        kind.__name__ in ("ConnectionError", "RedisClusterException")
        for kind in type(error).__mro__
    ):
        return "redis_down"
    return "redis_error"


def counts_for_breaker(reason: str) -> bool:
    """Return whether the trouble is with the connection, not with one command."""
    return reason in _CONNECTION_REASONS


def garbled(error: BaseException) -> bool:
    """Return whether the other side spoke no Redis at all: a wrong port, a broken proxy."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return not kinds.isdisjoint(("InvalidResponse", "HiredisError"))


def entries_of(namespace: str) -> str:
    """Return the pattern of all keys of both tiers, of every schema version."""
    return f"aegis:v[0-9]:{namespace}:[xs]:*"


def exact_of(namespace: str) -> str:
    """Return the pattern of the keys of the exact tier, of every schema version."""
    return f"aegis:v[0-9]:{namespace}:x:*"


def values_of(namespace: str) -> str:
    """Return the pattern of all entries and vectors, of every schema version."""
    return f"aegis:v[0-9]:{namespace}:[xsv]:*"


def set_exact(key: str, data: bytes, ttl_ms: int) -> Command:
    """Return the command that stores a value with its expiry."""
    return ("SET", key, data, "PX", ttl_ms)


def semantic_fields(record: SemanticRecord, exact_key: str, data: bytes) -> list[Any]:
    """Return the fields and values of a semantic entry's hash, alternating."""
    return [
        "scope", record.scope,
        "vector", record.vector,
        "value", data,
        "question", record.question,
        "tenant", record.tenant,
        "model", record.model,
        "tags", TAG_SEPARATOR.join(record.tags),
        "documents", TAG_SEPARATOR.join(record.documents),
        "created", record.created_ms,
        "exact", exact_key,
    ]  # fmt: skip


def parse_search(reply: Any) -> list[tuple[bytes, float]]:
    """Return values and similarities from an FT.SEARCH reply, RESP2 list or RESP3 map.

    What does not look like one of our entries is left out.
    """
    found = []
    for fields in _results(reply):
        value, distance = fields.get(b"value"), fields.get(DISTANCE.encode())
        if value is None or distance is None:
            continue
        try:
            similarity = 1.0 - float(distance)
        except (TypeError, ValueError):
            continue
        found.append((value if isinstance(value, bytes) else str(value).encode(), similarity))
    return found


def parse_count(reply: Any) -> int:
    """Return the number of matches from an FT.SEARCH reply."""
    if isinstance(reply, Mapping):
        return int(_keyed(reply).get(b"total_results", 0))
    return int(reply[0]) if reply else 0


def _results(reply: Any) -> list[dict[bytes, Any]]:
    if isinstance(reply, Mapping):
        results = _keyed(reply).get(b"results")
        found = results if isinstance(results, list | tuple) else ()
        return [_keyed(_keyed(one).get(b"extra_attributes")) for one in found]
    rows = reply[2::2] if isinstance(reply, list | tuple) and len(reply) > 2 else ()
    return [_pairs(row) for row in rows if isinstance(row, list | tuple)]


def _pairs(row: Sequence[Any]) -> dict[bytes, Any]:
    return {_bytes(row[i]): row[i + 1] for i in range(0, len(row) - 1, 2)}


def _keyed(mapping: Any) -> dict[bytes, Any]:
    given = mapping.items() if isinstance(mapping, Mapping) else ()
    return {_bytes(name): value for name, value in given}


def _bytes(name: Any) -> bytes:
    return name if isinstance(name, bytes) else str(name).encode()
