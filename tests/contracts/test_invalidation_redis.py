"""Invalidation on a real Redis: what is sent, and who hears of it."""

from __future__ import annotations

import asyncio
import gc
import math
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aegis_llm import cache_control
from aegis_llm.errors import StoreTrouble
from aegis_llm.names import names_of
from aegis_llm.plan import Put
from aegis_llm.stores import channel as channel_module
from tests.contracts.conftest import Face, close
from tests.contracts.invalidation_kit import (
    DAY_MS,
    FOR_DOCUMENTS,
    FOR_INVALIDATING,
    NS,
    entry,
    heard_by,
)
from tests.contracts.kit import (
    SCOPE,
    Watch,
    both,
    key_of,
    listens,
    redis_store,
    settled,
    unit,
    until,
)
from tests.contracts.test_invalidation import D1, D2, named
from tests.contracts.test_redis_wire import DOCUMENTED, limited
from tests.contracts.topologies import SERVICE, cluster, sentinel
from tests.contracts.world import World
from tests.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own, to be stopped and hung."""
    with RedisServer() as server:
        yield server


def test_an_entry_with_documents_is_one_look_and_one_transaction(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    store.nearest(SCOPE, unit(1, 0), 4)
    until(lambda: listens(store.store))
    with Watch(server) as watch:
        store.put(named(NS, "a", D1))
    assert watch.names == [
        "WATCH", "GET", "GET",
        "MULTI", "SET", "HSET", "PEXPIRE", "ZREMRANGEBYSCORE", "ZADD", "PEXPIRE", "EXEC",
    ]  # fmt: skip
    with Watch(server) as watch:
        store.get(key_of(NS, "a"))
        store.put(both(NS, "b", unit(1, 0)))
    assert watch.names == ["GET", "MULTI", "SET", "HSET", "PEXPIRE", "EXEC"]


@pytest.mark.parametrize("ttl_ms", [1000, DAY_MS, DAY_MS + 1, 40 * DAY_MS, 3650 * DAY_MS])
def test_what_remembers_an_entry_lives_as_long_as_it(
    server: RedisServer, connected: Callable[..., Any], ttl_ms: int
) -> None:
    store = connected(server.url)
    store.put(Put(key_of(NS, "a"), b"x", ttl_ms, names=D1))
    store.put(Put(key_of(NS, "b"), b"x", 1000, names=D1))
    with server.client() as client:
        holding = [
            key
            for key in client.scan_iter("aegis:v1:app:m:*")
            if client.zscore(key, key_of(NS, "a")) is not None
        ]
        assert len(holding) == 1
        assert client.pttl(holding[0]) >= client.pttl(key_of(NS, "a"))
        client.delete(key_of(NS, "b"))
    assert store.invalidate(D1) == 1


def test_what_expired_long_ago_is_forgotten(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    store.put(Put(key_of(NS, "a"), b"x", 1000, names=D1))
    with server.client() as client:
        (key,) = client.scan_iter("aegis:v1:app:m:*")
        client.zadd(key, {"old": 1, "recent": client.time()[0] * 1000 - DAY_MS // 2})
        store.put(Put(key_of(NS, "b"), b"x", 1000, names=D1))
        assert client.zscore(key, "old") is None
        assert client.zscore(key, "recent") is not None


def test_the_answer_is_not_stored_if_the_invalidation_comes_between(
    server: RedisServer, connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the look, before the transaction."""
    store, other = connected(server.url), redis_store(server.url, NS)
    recorder = store.store._recorder
    records = recorder._records

    def late(put: Put, batch: Any) -> Any:
        assert other.invalidate(D1) == 0
        return records(put, batch)

    monkeypatch.setattr(recorder, "_records", late)
    with pytest.raises(StoreTrouble) as caught:
        store.put(named(NS, "a", D1))
    assert caught.value.reason == "invalidated"
    monkeypatch.undo()
    assert store.get(key_of(NS, "a")) is None
    store.put(named(NS, "a", D1, sequence=store.store.numbers[1]))
    assert store.get(key_of(NS, "a")) == b"a"
    other.close()


@pytest.mark.usefixtures("alone")
def test_another_process_hears_of_it(server: RedisServer, connected: Callable[..., Any]) -> None:
    here, there = connected(server.url), connected(server.url)
    for store in (here, there):
        store.get("x")
        until(lambda store=store: listens(store.store))
    mine, its = heard_by(here.store), heard_by(there.store)
    here.invalidate(D1)
    here.renew()
    here.store.publish(b'{"kind":"something new"}')
    until(lambda: None in its.heard and there.store.numbers == here.store.numbers)
    assert its.heard[0] == mine.heard[0]
    assert its.heard[-1] is None
    until(lambda: there.store.numbers[1] == 1)
    assert len(mine.heard) == 3, "the process's own events are heard once"


@pytest.mark.usefixtures("alone")
def test_a_new_process_knows_version_and_sequence_from_the_first_contact(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    first = connected(server.url)
    first.invalidate(D1)
    first.renew()
    second = connected(server.url)
    second.get("x")
    assert second.store.numbers == first.store.numbers
    assert second.store.numbers[1] == 1
    second.put(Put(key_of(NS, "a"), b"x", 1000, names=D1, sequence=second.store.numbers[1]))


@pytest.mark.usefixtures("alone")
def test_what_was_missed_while_the_connection_was_lost_is_made_up_for(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    here, there = connected(server.url), connected(server.url)
    there.get("x")
    until(lambda: listens(there.store))
    its = heard_by(there.store)
    there.store._channel.url = "redis://127.0.0.1:1"
    with server.client() as client:
        client.client_kill_filter(_type="pubsub")
    until(lambda: not listens(there.store))
    here.invalidate(D1)
    here.renew()
    assert its.heard == []
    there.store._channel.url = server.url
    until(lambda: listens(there.store))
    assert there.store.numbers == here.store.numbers
    assert [type(event).__name__ for event in its.heard] == ["Renewed", "Missed"]


@pytest.mark.usefixtures("alone")
def test_without_pub_sub_a_look_up_asks_when_what_is_known_is_old(
    server: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    deaf = limited(server, "get", "set", "ping")
    store, other = connected(deaf), redis_store(server.url, NS)
    store.get("aegis:x")
    until(lambda: [m for m in caplog.messages if "allow SUBSCRIBE" in m])
    its = heard_by(store.store)
    other.renew()
    other.invalidate(D1)
    with Watch(server) as watch:
        store.get("aegis:x")
    assert watch.names == ["GET"]
    assert not store.store.doubtful
    store.store._channel.good_until = -math.inf
    assert store.store.doubtful
    with Watch(server) as watch:
        assert store.get("aegis:x") is None
        store.get("aegis:x")
    assert watch.names == ["GET", "GET", "GET", "GET"]
    assert store.store.numbers == other.numbers
    assert [type(event).__name__ for event in its.heard] == ["Renewed", "Missed"]
    assert len([m for m in caplog.messages if "allow SUBSCRIBE" in m]) == 1
    other.close()


def test_these_rights_are_enough(
    server: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """As the README says: for caching, for documents and tags, and for `invalidate()`."""
    store = connected(
        limited(server, *DOCUMENTED, *FOR_DOCUMENTS, *FOR_INVALIDATING, channels=["aegis:*"])
    )
    store.nearest(SCOPE, unit(1, 0), 4)
    store.put(named(NS, "a", D1))
    until(lambda: listens(store.store))
    assert store.invalidate(D1) == 1
    with pytest.raises(StoreTrouble, match="invalidated"):
        store.put(named(NS, "a", D1))
    before = store.store.numbers[0]
    assert store.renew() > before
    store.store.publish(b"{}")
    assert caplog.messages == []


def test_without_the_new_rights_caching_goes_on(
    server: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    old = limited(
        server, "get", "set", "del", "hset", "pexpire", "multi", "exec", "ping", "ft.search",
        "ft.create", "ft.info", "ft._list",
    )  # fmt: skip
    store = connected(old)
    for name in "abc":
        store.put(named(NS, name, D1))
        assert store.get(key_of(NS, name)) == name.encode()
    assert len([m for m in caplog.messages if "ZADD" in m]) == 1
    with pytest.raises(StoreTrouble) as caught:
        store.invalidate(D1)
    assert caught.value.reason == "redis_no_permission"
    assert "hunter2" not in caplog.text


def test_without_the_right_to_publish_the_entries_are_removed(
    server: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    redis_store(server.url, NS).put(named(NS, "a", D1))
    store = connected(limited(server, "get", "set", "incr", "zrange", "unlink", "ping"))
    assert store.invalidate(D1) == 1
    assert [m for m in caplog.messages if "allow PUBLISH" in m]


def test_where_redis_evicts_every_entry_is_looked_at(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    """What remembers the entries of a document may have been evicted before them."""
    store = connected(server.url)
    store.nearest(SCOPE, unit(1, 0), 4)
    with server.client() as client:

        def evicted() -> bool:
            client.set(f"filler:{uuid.uuid4()}", b"x" * 100_000)
            return bool(client.info("stats")["evicted_keys"])

        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 1_000_000)
        until(evicted)
        client.config_set("maxmemory", 0)
        for name, document in (("a", "d1"), ("b", "d2")):
            store.put(entry(name, document))
        client.delete(*client.scan_iter("aegis:v1:app:m:*"))
        with Watch(server) as watch:
            assert store.invalidate(D1) == 1
        assert "SCAN" in watch.names
    assert store.get(key_of(NS, "a")) is None
    assert store.get(key_of(NS, "b")) is not None
    assert len(store.nearest(SCOPE, unit(1, 0), 4)) == 1


def test_where_redis_does_not_evict_no_entry_is_looked_at(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    store.put(entry("a", "d1"))
    with Watch(server) as watch:
        assert store.invalidate(D1) == 1
    assert "SCAN" not in watch.names


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_sentinel_and_cluster_invalidate_too(kind: str, runner: asyncio.Runner | None) -> None:
    with cluster() as (node,), RedisServer(modules=False) as primary, sentinel(primary) as port:
        url = (
            f"redis+cluster://127.0.0.1:{node.port}"
            if kind == "cluster"
            else f"redis+sentinel://127.0.0.1:{port}/{SERVICE}"
        )
        store = redis_store(url, NS)
        face: Any = Face(store, runner)
        for name, names in (("a", D1), ("b", D2), ("c", D1 + D2)):
            settled(lambda name=name, names=names: face.put(named(NS, name, names)))
        until(lambda: listens(store))
        assert face.invalidate(D1) == 2
        assert face.get(key_of(NS, "a")) is face.get(key_of(NS, "c")) is None
        assert face.get(key_of(NS, "b")) == b"b"
        with pytest.raises(StoreTrouble, match="invalidated"):
            face.put(named(NS, "d", D1, sequence=0))
        assert face.get(key_of(NS, "d")) is None
        before = store.numbers[0]
        assert face.renew() > before > 0
        close(store, runner)


def test_without_the_query_engine_the_exact_tier_invalidates(
    connected: Callable[..., Any],
) -> None:
    with RedisServer(modules=False) as plain:
        store = connected(plain.url)
        store.put(named(NS, "a", D1))
        assert store.get(key_of(NS, "a")) == b"a"
        assert store.invalidate(D1) == 1
        assert store.get(key_of(NS, "a")) is None


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("way", ["call", "astream"])
def test_a_local_copy_dies_in_another_process(server: RedisServer, way: str) -> None:
    local = {"local_max_bytes": 1 << 20, "namespace": NS, "redis_timeout_ms": 5000.0}
    ask = "How do I water a cactus?"
    with World(server.url, way, **local) as here, World(server.url, way, **local) as there:
        for world in (here, there):
            world.ask("Is it there?")
            until(lambda world=world: listens(world.store))
        with cache_control(documents=["d1"]):
            assert here.ask(ask).outcome == "miss"
            assert there.ask(ask).outcome == "hit_exact"
            assert there.ask(ask).outcome == "hit_local"
        assert there.answering.service.invalidate(document="nobody's") == 0
        assert here.answering.service.invalidate(document="d1") == 1
        until(lambda: there.store.numbers[1] == 2)
        assert there.ask(ask).outcome == "miss"


def test_stores_of_one_namespace_share_a_channel_and_its_end(server: RedisServer) -> None:
    first, second = redis_store(server.url, NS), redis_store(server.url, NS)
    other = redis_store(server.url, "other")
    for store in (first, second, other):
        store.get("x")
    assert first._channel is second._channel is not other._channel
    until(lambda: listens(first) and listens(other))
    with server.client() as client:
        assert len(client.client_list(_type="pubsub")) == 2
        first.close()
        assert listens(second)
        second.close()
        other.close()
        until(lambda: client.client_list(_type="pubsub") == [])
        first.get("x")
        until(lambda: len(client.client_list(_type="pubsub")) == 1)
        first.close()
        until(lambda: client.client_list(_type="pubsub") == [])


def test_the_listener_ends_with_the_last_store_that_was_forgotten(server: RedisServer) -> None:
    """Nobody closes a model."""
    stores = [redis_store(server.url, NS)]
    stores[0].get("x")
    until(lambda: listens(stores[0]))
    stores.clear()
    gc.collect()
    with server.client() as client:
        until(lambda: client.client_list(_type="pubsub") == [])
    assert (server.url, NS) not in channel_module._channels


def test_names_are_no_secrets_told_to_everyone(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    names = names_of(("patient Smith",), ())
    store.get("x")
    with Watch(server) as watch:
        store.put(Put(key_of(NS, "a"), b"x", 1000, names=names))
        store.invalidate(names)
    assert "Smith" not in " ".join(watch.commands)
