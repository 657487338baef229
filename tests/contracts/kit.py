"""Stores and values for the contracts of every store."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from aegis_llm.config import CacheConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.plan import Put, SemanticRecord
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.redis import RedisStore
from tests.redis_server import RedisServer

SCOPE = "5" * 64
PATIENCE_S = 20.0


def redis_store(
    url: str, namespace: str, embedding_id: str | None = "test embedder", **options: Any
) -> RedisStore:
    """A store with limits that a busy machine does not reach."""
    patient = {"redis_timeout_ms": 5000.0, "redis_connect_timeout_ms": 5000.0, **options}
    config = CacheConfig(redis_url=url, namespace=namespace, **patient)
    return RedisStore(config, embedding_id, DaemonPool("aegis-io", 2))


def unit(*numbers: float) -> bytes:
    """A vector of unit length."""
    vector = np.array(numbers, np.float32)
    return bytes((vector / np.linalg.norm(vector)).astype("<f4").tobytes())


def key_of(namespace: str, name: str) -> str:
    """A key of the exact tier."""
    return f"aegis:v1:{namespace}:x:{name}:m:latest:0.5"


def record(name: str, vector: bytes, scope: str = SCOPE, **changes: Any) -> SemanticRecord:
    """The semantic part of an entry."""
    given: dict[str, Any] = {
        "entry_id": name, "scope": scope, "question": f"What is {name}?", "vector": vector,
        "tenant": "t" * 32, "model": "m:latest", "tags": ("a tag", "b"), "documents": ("doc:1",),
        "created_ms": 1_700_000_000_000,
    }  # fmt: skip
    return SemanticRecord(**(given | changes))


def both(
    namespace: str, name: str, vector: bytes, scope: str = SCOPE, ttl_ms: int = 60_000
) -> Put:
    """An entry of both tiers, whose value is its name."""
    data = name.encode()
    return Put(key_of(namespace, name), data, ttl_ms, record(name, vector, scope))


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.002)


def listens(store: RedisStore) -> bool:
    """Whether the store hears what other processes invalidate."""
    return store._channel.listening


def settled(call: Callable[[], Any]) -> Any:
    """Call until there is no trouble: an index is being made, or made again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except StoreTrouble:
            assert time.monotonic() < deadline, "the trouble does not end"
            time.sleep(0.002)


class Watch:
    """Notes the commands that others send to a server while it is open."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client()
        self._control = server.client()
        self._control.ping()
        self._monitor = self._client.monitor()
        self.commands: list[str] = []

    def __enter__(self) -> Self:
        self._monitor.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._control.echo("watched")
        for told in self._monitor.listen():
            if told["command"] == "ECHO watched":
                break
            self.commands.append(told["command"])
        self._monitor.__exit__(None, None, None)
        self._client.close()
        self._control.close()

    @property
    def names(self) -> list[str]:
        """The names of the commands, in order."""
        return [command.split(" ", 1)[0] for command in self.commands]
