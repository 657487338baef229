"""The hits of single entries in Redis, and what a namespace holds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from redis import RedisError

from aegis_llm.metrics import usage
from aegis_llm.stores.redis_commands import exact_of

_MOST_KEYS = 1_000_000


def add_hits(
    client: Any, namespace: str, hits: Mapping[str, int], now_ms: int, keep_ms: int
) -> None:
    """Count hits of entries, used now; drop what was not used for `keep_ms`, and what is too many.

    Raises:
        RedisError: The first refusal.
    """
    *_, old, count = _sent(client, usage.adding(namespace, hits, now_ms, keep_ms))
    if old:
        _sent(client, usage.forgetting(namespace, old))
    if (too_many := count - len(old) - usage.MOST_USED) > 0:
        oldest = client.execute_command(*usage.oldest(namespace, too_many))
        _sent(client, usage.forgetting(namespace, oldest))


def forget_hits(client: Any, namespace: str, ids: Iterable[Any] | None = None) -> None:
    """Forget the hits of entries, or of all; what may not be forgotten ends by its age."""
    with contextlib.suppress(RedisError):
        if ids is None:
            client.unlink(*usage.usage_keys(namespace))
        elif told := list(ids):
            _sent(client, usage.forgetting(namespace, told))


def size(client: Any, namespace: str) -> tuple[int | None, int | None]:
    """Return how many entries a namespace has, and the bytes that Redis takes.

    None is what may not be asked; entries are not counted where Redis has over a million keys.
    """
    entries = used = None
    with contextlib.suppress(RedisError):
        told = client.info("memory")
        used = told.get("used_memory") if isinstance(told, Mapping) else None
    with contextlib.suppress(RedisError):
        if client.dbsize() <= _MOST_KEYS:
            entries = sum(1 for _ in client.scan_iter(exact_of(namespace), count=1000))
    return entries, used


def _sent(client: Any, commands: list[usage.Command]) -> list[Any]:
    with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command)
        return list(pipeline.execute())
