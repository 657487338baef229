"""Troubles of a store on a real Redis: each has its reason, and ends when its cause does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aegis_llm.errors import StoreTrouble
from aegis_llm.plan import Put
from aegis_llm.stores import redis as redis_module
from tests.contracts.kit import SCOPE, Watch, both, key_of, redis_store, settled, unit, until
from tests.redis_server import RedisServer

NS = "app"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own, to be stopped and hung."""
    with RedisServer(repl_diskless_sync_delay=0) as server:
        yield server


@pytest.fixture
def plain() -> Iterator[RedisServer]:
    """A server without the Query Engine."""
    with RedisServer(modules=False) as server:
        yield server


def reason_of(call: Callable[[], Any]) -> str:
    """The reason of the trouble that a call makes."""
    with pytest.raises(StoreTrouble) as caught:
        call()
    return caught.value.reason


def warnings_of(caplog: pytest.LogCaptureFixture, reason: str) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.levelno >= logging.WARNING and f": {reason};" in r.getMessage()
    ]


@pytest.mark.parametrize("lost", ["FLUSHALL", "FT.DROPINDEX"])
def test_a_lost_index_is_one_trouble_and_is_made_again(
    server: RedisServer, connected: Callable[..., Any], lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = connected(server.url)
    store.nearest(SCOPE, unit(1, 0), 4)
    store.put(both(NS, "a", unit(1, 0)))
    for round_ in range(2):
        with server.client() as client:
            names = [] if lost == "FLUSHALL" else client.execute_command("FT._LIST")
            client.execute_command(lost, *names)
        assert reason_of(lambda: store.nearest(SCOPE, unit(1, 0), 4)) == "index_missing"
        assert store.get(key_of(NS, "a")) == (None if lost == "FLUSHALL" else b"a"), round_
        store.nearest(SCOPE, unit(1, 0), 4)
        store.put(both(NS, "a", unit(1, 0)))
        until(lambda: len(store.nearest(SCOPE, unit(1, 0), 4)) == 1)
    assert len(warnings_of(caplog, "index_missing")) == 1
    assert not store.store.link.is_open


def test_without_the_query_engine_the_exact_tier_works(
    plain: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = connected(plain.url)
    for number in range(5):
        assert reason_of(lambda: store.nearest(SCOPE, unit(1, 0), 4)) == "no_query_engine"
        store.put(both(NS, f"n{number}", unit(1, 0)))
        assert store.get(key_of(NS, f"n{number}")) == b"n%d" % number
    said = warnings_of(caplog, "no_query_engine")
    assert len(said) == 1
    assert "Redis 8" in said[0]
    assert not store.store.link.is_open
    with Watch(plain) as watch:
        for _ in range(5):
            assert reason_of(lambda: store.nearest(SCOPE, unit(1, 0), 4)) == "no_query_engine"
        store.put(both(NS, "last", unit(1, 0)))
    assert watch.names == ["SET"], "what the server cannot do is not asked for at every request"


def test_a_value_of_a_foreign_type_is_read_as_none_of_ours(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    key = key_of(NS, "a")
    for command in (("LPUSH", key, "x"), ("HSET", key, "x", "y"), ("SADD", key, "x")):
        with server.client() as client:
            client.execute_command(*command)
        assert store.get(key) == b""
        store.put(Put(key, b"value", 60_000))
        assert store.get(key) == b"value"
        store.delete(key)
    assert not store.store.link.is_open


def test_a_foreign_value_in_the_place_of_a_semantic_entry(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    store = connected(server.url)
    store.nearest(SCOPE, unit(1, 0), 4)
    store.put(both(NS, "a", unit(1, 0)))
    with server.client() as client:
        (key,) = client.scan_iter("aegis:v1:app:s:*")
        client.set(key, "x")
    assert reason_of(lambda: store.put(both(NS, "a", unit(1, 0)))) == "foreign_value"
    assert store.get(key_of(NS, "a")) == b"a"
    assert store.nearest(SCOPE, unit(1, 0), 4) == []


def test_a_reply_that_came_too_late_is_nobody_elses(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    """A connection that was given up is never used again, so that no reply is one behind."""
    store = connected(server.url, redis_timeout_ms=30.0, redis_connect_timeout_ms=30.0)
    for name in "abcdef":
        store.put(Put(key_of(NS, name), name.encode(), 60_000))
    with server.client() as client:
        settled(lambda: store.nearest(SCOPE, unit(1, 0), 4))
        for name in "abc":
            server.hang()
            assert reason_of(lambda name=name: store.get(key_of(NS, name))) == "redis_timeout"
            server.resume()
            client.ping()
            for other in "fedcba":
                assert store.get(key_of(NS, other)) == other.encode()
        server.hang()
        for call in (
            lambda: store.nearest(SCOPE, unit(1, 0), 4),
            lambda: store.put(both(NS, "late", unit(1, 0))),
        ):
            assert reason_of(call) == "redis_timeout"
        server.resume()
        client.ping()
    assert store.get(key_of(NS, "f")) == b"f"
    assert settled(lambda: store.nearest(SCOPE, unit(0, 1), 4)) is not None


async def test_a_cancelled_call_leaves_no_reply_behind(server: RedisServer) -> None:
    store = redis_store(server.url, NS)
    for name in "abcdef":
        await store.aput(Put(key_of(NS, name), name.encode(), 60_000))
    for turn in range(40):
        task = asyncio.create_task(store.aget(key_of(NS, "a")))
        for _ in range(turn % 8):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        replies = await asyncio.gather(*(store.aget(key_of(NS, n)) for n in "fedcb"))
        assert replies == [b"f", b"e", b"d", b"c", b"b"]
    assert not store.link.is_open
    await store.aclose()


@pytest.mark.parametrize("url", ["wrong", "none", "unknown user"])
def test_a_wrong_password_is_said_without_showing_it(
    connected: Callable[..., Any], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(password="hunter2") as server:
        secrets = {"wrong": ":hunter3@", "none": "", "unknown user": "nobody:hunter2@"}
        store = connected(server.url.replace(":hunter2@", secrets[url]))
        assert reason_of(lambda: store.get("x")) == "redis_auth"
        assert len(warnings_of(caplog, "redis_auth")) == 1
        assert "password" in caplog.text
        assert "hunter" not in caplog.text
        good = connected(server.url)
        good.put(Put(key_of(NS, "a"), b"value", 1000))


def test_a_full_server_serves_what_it_has(
    server: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = connected(server.url)
    store.nearest(SCOPE, unit(1, 0), 4)
    store.put(both(NS, "a", unit(1, 0)))
    server.config_set(maxmemory="1mb")
    for name in "bcdef":
        assert reason_of(lambda n=name: store.put(both(NS, n, unit(1, 0)))) == "redis_full"
        assert reason_of(lambda: store.put(Put(key_of(NS, "x"), b"x", 1000))) == "redis_full"
    assert store.get(key_of(NS, "a")) == b"a"
    assert [data for data, _ in store.nearest(SCOPE, unit(1, 0), 4)] == [b"a"]
    assert not store.store.link.is_open
    assert len(warnings_of(caplog, "redis_full")) == 1
    server.config_set(maxmemory=0)
    store.put(both(NS, "b", unit(1, 0)))
    assert len(store.nearest(SCOPE, unit(1, 0), 4)) == 2


def test_a_replica_that_may_only_be_read_serves_what_it_has(
    server: RedisServer, connected: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    connected(server.url).put(Put(key_of(NS, "a"), b"value", 60_000))
    with RedisServer(replicaof=server) as replica:
        with replica.client() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")
        store = connected(replica.url)
        assert store.get(key_of(NS, "a")) == b"value"
        for put in (Put("aegis:x", b"x", 1000), both(NS, "b", unit(1, 0))):
            assert reason_of(lambda put=put: store.put(put)) == "redis_readonly"
        assert store.get(key_of(NS, "b")) is None
        assert not store.store.link.is_open
        assert len(warnings_of(caplog, "redis_readonly")) == 1


def test_a_server_that_was_restarted_is_used_again_without_a_trouble(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    """A connection that the server closed is noticed before something is sent on it."""
    store = connected(server.url)
    store.put(Put(key_of(NS, "a"), b"value", 60_000))
    server.restart()
    store.idle()
    assert store.get(key_of(NS, "a")) is None
    store.put(Put(key_of(NS, "a"), b"again", 60_000))
    assert store.get(key_of(NS, "a")) == b"again"


def test_clearing_a_server_that_hangs_comes_to_an_end(
    server: RedisServer, connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "_ADMIN_TIMEOUT_S", 0.05)
    store = connected(server.url, redis_timeout_ms=50.0, redis_connect_timeout_ms=50.0)
    store.get("x")
    server.hang()
    assert reason_of(store.clear) == "redis_timeout"
    server.resume()
    store.clear()
