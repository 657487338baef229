"""Sentinel and Cluster: the exact tier works, and no time is spent on the other one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from aegis_llm.plan import Put
from tests.contracts.conftest import Face, close
from tests.contracts.kit import both, key_of, redis_store, settled, unit, until
from tests.contracts.topologies import SERVICE, cluster, sentinel
from tests.contracts.world import WAYS, World, warned
from tests.redis_server import RedisServer

NS = "app"


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    with cluster() as (node,), RedisServer(modules=False) as primary, sentinel(primary) as port:
        yield {
            "cluster": f"redis+cluster://127.0.0.1:{node.port}",
            "sentinel": f"redis+sentinel://127.0.0.1:{port}/{SERVICE}",
        }


@pytest.fixture(params=["cluster", "sentinel"])
def url(request: pytest.FixtureRequest, urls: dict[str, str]) -> str:
    return urls[request.param]


def test_the_exact_tier_works(url: str, runner: asyncio.Runner | None) -> None:
    store = redis_store(url, NS)
    face: Any = Face(store, runner)
    face.clear()
    assert face.get(key_of(NS, "a")) is None
    face.put(Put(key_of(NS, "a"), b"value", 60_000))
    face.put(both(NS, "b", unit(1, 0)))
    face.put(Put(key_of(NS, "short"), b"value", 30))
    assert face.get(key_of(NS, "a")) == b"value"
    assert face.get(key_of(NS, "b")) == b"b"
    until(lambda: face.get(key_of(NS, "short")) is None)
    for number in range(600):
        face.put(Put(key_of(NS, f"n{number}"), b"x", 60_000))
    face.put(Put(key_of("other", "a"), b"value", 60_000))
    face.delete(key_of(NS, "b"))
    assert face.get(key_of(NS, "b")) is None
    face.clear()
    assert face.get(key_of(NS, "a")) is face.get(key_of(NS, "n599")) is None
    assert face.get(key_of("other", "a")) == b"value"
    assert not store.searches
    keys = [key_of(NS, f"many{number}") for number in range(150)]
    face.put_many([Put(key, key.encode(), 60_000) for key in keys[1:]])
    assert face.get_many(keys) == [None, *(key.encode() for key in keys[1:])]
    close(store, runner)


@pytest.mark.parametrize("way", WAYS)
def test_repeats_hit_and_nothing_is_embedded_in_vain(
    url: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with World(url, way, namespace=f"{way}-app") as world:
        until(lambda: world.ask("Why?").outcome == "hit_exact")
        assert world.ask("Why not?").outcome == "miss"
        assert world.embedder.calls == 0
    assert [m for m in caplog.messages if "exact tier only" in m] == caplog.messages[:1]
    assert len(warned(caplog)) == 1


@pytest.mark.parametrize("kind", ["redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize("way", WAYS)
def test_nobody_there_is_a_miss(kind: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(f"{kind}://user:hunter2@127.0.0.1:1,127.0.0.1:2/main", way) as world:
        reasons = []
        until(lambda: reasons.append(world.ask("Why?").reason) or "redis_breaker_open" in reasons)
        assert set(reasons) <= {"redis_down", "redis_starting", "redis_breaker_open"}
    assert warned(caplog).count("redis_down") == 1
    assert "hunter2" not in caplog.text


def test_a_primary_that_moves_is_followed(runner: asyncio.Runner | None) -> None:
    """The first one dies and Sentinel names another: what is stored now is stored there."""
    with (
        RedisServer(modules=False) as first,
        RedisServer(modules=False) as second,
        sentinel(first) as port,
    ):
        store = redis_store(f"redis+sentinel://127.0.0.1:{port}/{SERVICE}", NS)
        face: Any = Face(store, runner)
        face.put(Put(key_of(NS, "a"), b"first", 60_000))
        with first.client() as client:
            assert client.get(key_of(NS, "a")) == b"first"
        with redis.Redis(port=port) as client:
            client.sentinel_remove(SERVICE)
            client.sentinel_monitor(SERVICE, "127.0.0.1", second.port, 1)
        first.kill()
        settled(lambda: face.put(Put(key_of(NS, "a"), b"second", 60_000)))
        with second.client() as client:
            assert client.get(key_of(NS, "a")) == b"second"
        close(store, runner)
