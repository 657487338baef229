"""Every store, blocking and awaited, behind one face."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aegis_llm.ports import Store
from aegis_llm.stores import redis as redis_module
from aegis_llm.stores.channel import Channel
from aegis_llm.stores.memory import MemoryStore
from tests.contracts.kit import PATIENCE_S, SCOPE, listens, redis_store, unit, until
from tests.redis_server import RedisServer

KINDS = ["memory", "tcp", "unix"]


class Face:
    """A store's blocking calls, or its awaited ones on a loop that goes on living."""

    def __init__(self, store: Store, runner: asyncio.Runner | None) -> None:
        self.store = store
        self._runner = runner

    def idle(self) -> None:
        """Let the loop notice what has happened meanwhile."""
        if self._runner is not None:
            self._runner.run(asyncio.sleep(0.01))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        runner = self._runner
        if runner is None:
            return getattr(self.store, name)  # type: ignore[no-any-return]
        method = getattr(self.store, f"a{name}")
        return lambda *args: runner.run(asyncio.wait_for(method(*args), PATIENCE_S))


@pytest.fixture
def redis_urls(redis_server: RedisServer, redis_url: str) -> dict[str, str]:
    """The URLs of the session's Redis by kind of connection."""
    if redis_server.private:
        return {"tcp": redis_url, "unix": redis_server.unix_url}
    return {"tcp": redis_url, "unix": redis_url}


@pytest.fixture(params=["blocking", "awaited"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner | None]:
    """None for blocking calls, else the loop of the awaited ones."""
    if request.param == "blocking":
        yield None
        return
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=KINDS)
def make(
    request: pytest.FixtureRequest, runner: asyncio.Runner | None, namespace: str
) -> Callable[..., Face]:
    """Makes stores of one kind: `make(namespace=..., embedding_id=...)`.

    The index is there and the listener too, as some time after a first request: what is stored is
    found at once, and what is heard is what the test does.
    """
    in_memory: dict[str, MemoryStore] = {}
    urls = None if request.param == "memory" else request.getfixturevalue("redis_urls")

    def make(
        namespace: str = namespace, embedding_id: str = "test embedder", *, ready: bool = True
    ) -> Face:
        if urls is None:
            shared = in_memory.setdefault(namespace, MemoryStore())
            return Face(shared.seen_by(embedding_id), runner)
        store = redis_store(urls[request.param], namespace, embedding_id)
        request.addfinalizer(lambda: close(store, runner))
        face = Face(store, runner)
        if ready:
            face.nearest(SCOPE, unit(1, 0), 1)
            until(lambda: listens(store))
        return face

    return make


def close(store: Store, runner: asyncio.Runner | None) -> None:
    """Close a store as its user would."""
    if runner is None:
        store.close()
    else:
        runner.run(store.aclose())


@pytest.fixture
def store(make: Callable[..., Face]) -> Face:
    """One store of each kind."""
    return make()


@pytest.fixture
def connected(request: pytest.FixtureRequest, runner: asyncio.Runner | None) -> Callable[..., Any]:
    """Connects a store of the namespace "app" to a URL."""

    def connected(url: str, **options: Any) -> Any:
        store = redis_store(url, "app", **options)
        request.addfinalizer(lambda: close(store, runner))
        return Face(store, runner)

    return connected


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every store has a channel of its own, as in a process of its own."""
    monkeypatch.setattr(
        redis_module, "channel_of", lambda _, namespace, age: Channel(namespace, age)
    )
