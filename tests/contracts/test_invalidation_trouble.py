"""Invalidation on a real Redis: what trouble costs, and which version holds after it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aegis_llm import events
from aegis_llm.errors import StoreTrouble
from aegis_llm.plan import Put
from aegis_llm.stores import redis as redis_module
from tests.contracts.invalidation_kit import (
    NS,
    VERSION,
)
from tests.contracts.kit import (
    key_of,
    settled,
    until,
)
from tests.contracts.test_invalidation import D1, named
from tests.contracts.test_redis_wire import limited
from tests.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own, to be stopped and hung."""
    with RedisServer() as server:
        yield server


@pytest.mark.parametrize("trouble", ["down", "hung"])
def test_an_invalidation_that_redis_did_not_do_says_so(
    server: RedisServer,
    connected: Callable[..., Any],
    trouble: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_module, "_ADMIN_TIMEOUT_S", 0.1)
    store = connected(server.url, redis_timeout_ms=50.0, redis_connect_timeout_ms=50.0)
    settled(lambda: store.put(named(NS, "a", D1)))
    if trouble == "down":
        server.stop()
    else:
        server.hang()
    for call in (lambda: store.invalidate(D1), store.renew):
        with pytest.raises(StoreTrouble, match="do it again when Redis answers"):
            call()
    for _ in range(5):
        with pytest.raises(StoreTrouble):
            store.get("x")
    if trouble == "hung":
        server.resume()
        assert store.invalidate(D1) == 1, "also while requests leave Redis alone"


def test_a_server_that_was_emptied_starts_anew(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    for _ in range(3):
        store.invalidate(D1)
    with server.client() as client:
        client.flushall()
    with pytest.raises(StoreTrouble, match="invalidated"):
        store.put(Put(key_of(NS, "a"), b"x", 60_000, names=D1, sequence=3))
    assert store.invalidate(D1) == 0
    store.put(Put(key_of(NS, "a"), b"x", 60_000, names=D1, sequence=store.store.numbers[1]))
    assert store.invalidate(D1) == 1


def test_foreign_values_in_the_place_of_ours_cost_no_more_than_a_miss(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    with server.client() as client:
        client.set(VERSION, "many")
        store = connected(server.url)
        assert store.get("x") is None
        assert store.store.numbers[0] == int(client.get(VERSION)) > 0


@pytest.mark.usefixtures("alone")
def test_a_version_that_was_evicted_is_written_back(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    store.get("x")
    until(lambda: store.store._channel.listening)
    known = store.renew()
    with server.client() as client:
        client.delete(VERSION)
        store.store._channel.good_until = -math.inf
        store.get("x")
        until(lambda: client.get(VERSION) == b"%d" % known)
    assert store.store.numbers[0] == known
    newcomer = connected(server.url)
    newcomer.get("x")
    assert newcomer.store.numbers[0] == known


@pytest.mark.usefixtures("alone")
def test_one_who_may_have_missed_a_version_writes_a_new_one(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    deaf, other = connected(server.url), connected(server.url)
    deaf.get("x")
    until(lambda: deaf.store._channel.listening)
    deaf.store._channel.leave(deaf.store)
    other.get("x")
    last = other.renew()
    with server.client() as client:
        client.delete(VERSION)
        deaf.store._channel.good_until = -math.inf
        deaf.get("x")
        until(lambda: int(client.get(VERSION) or 0) > last)
    until(lambda: deaf.store.numbers[0] > last)


@pytest.mark.usefixtures("alone")
def test_the_news_of_a_version_that_was_evicted_since_is_taken_at_its_word(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    listener, other = connected(server.url), connected(server.url)
    listener.get("x")
    until(lambda: listener.store._channel.listening)
    other.get("x")
    other.store._channel.leave(other.store)
    with server.client() as client:
        told = other.store.numbers[0] + 1_000
        client.delete(VERSION)
        client.publish(
            listener.store._channel.name, b"another " + events.encode(events.Renewed(told))
        )
        until(lambda: listener.store.numbers[0] == told)
        assert client.get(VERSION) is None, "written back by a look-up, with the newest number"


@pytest.mark.usefixtures("alone")
def test_a_version_that_a_failover_lost_is_followed_by_a_new_one(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    store.get("x")
    old = store.store.numbers[0]
    known = store.renew()
    with server.client() as client:
        client.set(VERSION, old)
        store.store._channel.good_until = -math.inf
        store.get("x")
        assert store.store.numbers[0] >= known
        until(lambda: int(client.get(VERSION)) > known)
    until(lambda: store.store.numbers[0] > known)


@pytest.mark.usefixtures("alone")
def test_a_new_process_never_takes_up_a_version_from_before(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    first = connected(server.url)
    first.get("x")
    seen = [first.store.numbers[0], first.renew()]
    for _ in range(3):
        with server.client() as client:
            client.delete(VERSION)
        until(lambda last=seen[-1]: time.time_ns() // 1_000_000 > last)
        another = connected(server.url)
        another.get("x")
        seen += [another.store.numbers[0], another.renew()]
    assert seen == sorted(set(seen))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("trouble", ["full", "no right to"])
def test_a_version_that_cannot_be_written_is_this_processs_own(
    server: RedisServer, connected: Callable[..., Any], trouble: str
) -> None:
    with server.client() as client:
        url = server.url
        if trouble == "full":
            client.config_set("maxmemory", 1)
        else:
            url = limited(server, "get", "ping")
        stores = [connected(url), connected(url)]
        for store in stores:
            assert store.get("aegis:x") is None
            assert store.store.numbers[0] > 0
        client.config_set("maxmemory", 0)
        if trouble == "full":
            for store in stores:
                store.store._channel.good_until = -math.inf
                store.get("aegis:x")
            until(lambda: client.get(VERSION) is not None)
        else:
            assert client.get(VERSION) is None


def test_invalidations_of_everything_at_once_are_as_many_versions(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    with ThreadPoolExecutor(8) as threads:
        found = [one.result() for one in [threads.submit(store.store.renew) for _ in range(24)]]
    assert len(set(found)) == 24
    with server.client() as client:
        assert int(client.get(VERSION)) == max(found) == store.store.numbers[0]
