"""Deletes everything that a bench stored in somebody's Redis, its index included."""

from __future__ import annotations

import contextlib
from typing import Any

import redis.exceptions

from aegis_llm.errors import AegisError
from aegis_llm.stores.redis_clients import sync_client

_TIMEOUT_S = 5.0


def sweep(url: str, namespace: str) -> None:
    """Delete all keys of a namespace that nobody else uses, found by SCAN, and its indexes.

    As far as Redis can be reached: entries go by their age in any case.
    """
    if url.startswith("memory"):
        return
    start = f"aegis:v1:{namespace}:"
    with contextlib.suppress(redis.exceptions.RedisError, AegisError, OSError, ValueError):
        client = sync_client(url, _TIMEOUT_S, _TIMEOUT_S)
        try:
            for name in _indexes(client):
                if name.startswith(start):
                    client.execute_command("FT.DROPINDEX", name)
            for key in list(client.scan_iter(f"{start}*", count=500)):
                client.unlink(key)
        finally:
            client.close()


def _indexes(client: Any) -> list[str]:
    try:
        found = client.execute_command("FT._LIST")
    except redis.exceptions.RedisError:  # a server without a query engine
        return []
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]
