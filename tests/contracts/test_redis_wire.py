"""What is sent to Redis: few commands, with the expiry in them, and none that harms."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from aegis_llm.plan import Put
from aegis_llm.stores.link import _HELP
from aegis_llm.stores.redis import RedisStore
from tests.contracts.conftest import Face, close
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
from tests.redis_server import RedisServer

NS = "app"
README = (Path(__file__).parents[2] / "README.md").read_text()
RIGHTS = re.search(
    r"ACL user needs `([^`]+)` on keys `aegis:\*`; `clear\(\)` also `([^`]+)`", README
)
assert RIGHTS is not None, "the README no longer says which rights are needed"
DOCUMENTED, FOR_CLEARING = (rights.lower().split() for rights in RIGHTS.groups())


@pytest.fixture(scope="module")
def own_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def server(own_server: RedisServer) -> Iterator[RedisServer]:
    own_server.pid  # noqa: B018 - skips where there is no server of our own
    yield own_server
    with own_server.client() as client:
        client.flushall()


@pytest.fixture
def store(server: RedisServer, runner: asyncio.Runner | None) -> Iterator[Any]:
    store = redis_store(server.url, NS)
    face = Face(store, runner)
    face.nearest(SCOPE, unit(1, 0), 4)
    until(lambda: listens(store))
    yield face
    close(store, runner)


def test_a_look_up_is_one_command_and_a_store_too(store: Any, server: RedisServer) -> None:
    key = key_of(NS, "a")
    with Watch(server) as watch:
        store.put(Put(key, b"value", 60_000))
        store.get(key)
        store.get(key + "x")
    assert watch.commands == [f"SET {key} value PX 60000", f"GET {key}", f"GET {key}x"]


def test_both_tiers_are_one_transaction(store: Any, server: RedisServer) -> None:
    with Watch(server) as watch:
        store.put(both(NS, "a", unit(1, 0)))
    assert watch.names == ["MULTI", "SET", "HSET", "PEXPIRE", "EXEC"]
    assert watch.commands[1].endswith(" PX 60000")
    assert watch.commands[3].endswith(" 60000")


def test_a_search_is_one_command_once_the_size_of_the_scope_is_known(
    store: Any, server: RedisServer
) -> None:
    with Watch(server) as watch:
        for _ in range(3):
            store.nearest("7" * 64, unit(1, 0), 4)
    assert watch.names == ["FT.SEARCH", "FT.SEARCH", "FT.SEARCH", "FT.SEARCH"]
    assert [("NOCONTENT" in command) for command in watch.commands] == [False, True, False, False]


def test_many_values_are_one_command_a_hundred(store: Any, server: RedisServer) -> None:
    keys = [key_of(NS, str(number)) for number in range(150)]
    with Watch(server) as watch:
        store.put_many([Put(key, b"value", 60_000) for key in keys])
        store.get_many(keys)
    assert watch.names == ["SET"] * 150 + ["MGET"] * 2
    assert all(command.endswith(" PX 60000") for command in watch.commands[:150])
    assert watch.commands[150] == " ".join(["MGET", *keys[:100]])


def test_vectors_alone_listen_to_nobody(server: RedisServer, runner: Any) -> None:
    store = redis_store(server.url, "vectors-only")
    key = "aegis:v1:vectors-only:v:a:m"
    Face(store, runner).put_many([Put(key, b"value", 60_000)])
    assert Face(store, runner).get_many([key]) == [b"value"]
    assert store._channel.idle
    close(store, runner)


def test_a_new_connection_says_nothing_of_its_own(store: Any, server: RedisServer) -> None:
    store.close()
    with Watch(server) as watch:
        store.get(key_of(NS, "a"))
        until(lambda: listens(store.store))
    told = [command for command in watch.commands if ":n:" not in command]
    assert sorted(told) == [f"GET {key_of(NS, 'a')}", "SUBSCRIBE aegis:v1:app:events"]


def test_every_key_has_an_expiry_from_the_start(store: Any, server: RedisServer) -> None:
    store.put(both(NS, "a", unit(1, 0), ttl_ms=60_000))
    store.put(Put(key_of(NS, "b"), b"value", 60_000))
    with server.client() as client:
        keys = [key for key in client.scan_iter("*") if b":n:" not in key]
        assert len(keys) == 3
        assert all(0 < client.pttl(key) <= 60_000 for key in keys)
        assert all(key.startswith(b"aegis:v1:app:") for key in keys)


def test_an_entry_carries_its_fields(store: Any, server: RedisServer) -> None:
    store.put(both(NS, "a", unit(3, 4)))
    with server.client() as client:
        (key,) = client.scan_iter("aegis:v1:app:s:*")
        fields = client.hgetall(key)
    assert fields == {
        b"scope": SCOPE.encode(), b"vector": unit(3, 4), b"value": b"a", b"tenant": b"t" * 32,
        b"question": b"What is a?", b"model": b"m:latest", b"tags": b"a tag\x1fb",
        b"documents": b"doc:1", b"created": b"1700000000000", b"exact": key_of(NS, "a").encode(),
    }  # fmt: skip


def test_the_index_can_find_them_by_every_tag(store: Any, server: RedisServer) -> None:
    store.put(both(NS, "a", unit(1, 0)))
    with server.client() as client:
        (name,) = client.execute_command("FT._LIST")
        for query in (
            r"@tags:{a\ tag}", "@tags:{b}", r"@documents:{doc\:1}", r"@model:{m\:latest}",
            f"@tenant:{{{'t' * 32}}}", "@question:what", "@created:[1700000000000 +inf]",
        ):  # fmt: skip
            found = client.execute_command("FT.SEARCH", name, query, "NOCONTENT", "DIALECT", 2)
            total = found[b"total_results"] if isinstance(found, dict) else found[0]
            assert total == 1, query


def test_the_index_is_named_after_version_namespace_embedder_and_dimension(
    store: Any, server: RedisServer
) -> None:
    with server.client(protocol=2) as client:
        (name,) = client.execute_command("FT._LIST")
        told = client.execute_command("FT.INFO", name)
    text = repr(told).upper()
    assert re.fullmatch(r"aegis:v1:app:i:test-embedder-2-[0-9a-f]{8}", name.decode())
    assert "HNSW" in text
    assert "COSINE" in text
    assert "FLOAT32" in text


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_clearing_uses_nothing_that_stops_or_empties_the_server(
    server: RedisServer, kind: str
) -> None:
    store = redis_store(server.url, NS)
    with server.client() as client:
        client.set("somebody else's", "x")
        client.set("aegis:v1:app:d:digests", "x")
        for number in range(1100):
            client.set(key_of(NS, str(number)), "x")
        store.get("x")
        until(lambda: listens(store))
        with Watch(server) as watch:
            if kind == "blocking":
                store.clear()
            else:
                asyncio.run(store.aclear())
        assert sorted(client.keys("*")) == [
            b"aegis:v1:app:d:digests", b"aegis:v1:app:n:version", b"somebody else's",
        ]  # fmt: skip
    assert set(watch.names) == {"SCAN", "UNLINK"}
    assert all(len(command.split(" ")) <= 501 for command in watch.commands)
    store.close()


def limited(server: RedisServer, *commands: str, channels: Sequence[str] = ()) -> str:
    """The URL of a user who may use these commands on our keys, and these channels."""
    with server.client() as client:
        client.acl_setuser(
            "app",
            enabled=True,
            reset=True,
            passwords=["+hunter2"],
            keys=["aegis:*"],
            commands=[f"+{command}" for command in commands],
            channels=list(channels),
        )
    return server.url.replace("redis://", "redis://app:hunter2@")


@pytest.fixture
def as_user(server: RedisServer, runner: asyncio.Runner | None) -> Iterator[Callable[..., Any]]:
    stores: list[RedisStore] = []

    def make(*commands: str) -> Any:
        stores.append(redis_store(limited(server, *commands), NS))
        return Face(stores[-1], runner)

    yield make
    for store in stores:
        close(store, runner)
    with server.client() as client:
        client.acl_deluser("app")


def test_the_documented_rights_are_enough(as_user: Callable[..., Any]) -> None:
    store = as_user(*DOCUMENTED, *FOR_CLEARING)
    assert store.nearest(SCOPE, unit(1, 0), 4) == []
    store.put(both(NS, "a", unit(1, 0)))
    assert store.get(key_of(NS, "a")) == b"a"
    assert len(store.nearest(SCOPE, unit(1, 0), 4)) == 1
    store.delete(key_of(NS, "a"))
    store.clear()
    assert store.nearest(SCOPE, unit(1, 0), 4) == []


def test_the_rights_that_the_log_names_are_enough(as_user: Callable[..., Any]) -> None:
    named = re.findall(r"[A-Z][A-Z._]+\*?", _HELP["redis_no_permission"])
    commands = [n.lower() for n in named if not n.endswith("*")]
    if any(n.endswith("*") for n in named):
        commands += ["ft.search", "ft.create", "ft.info", "ft._list"]
    store = as_user(*commands)
    store.put(both(NS, "a", unit(1, 0)))
    assert store.get(key_of(NS, "a")) == b"a"
    until(lambda: len(settled(lambda: store.nearest(SCOPE, unit(1, 0), 4))) == 1)


def test_the_rights_documented_for_vectors_are_enough(as_user: Callable[..., Any]) -> None:
    named = re.search(r"embeddings (?:also need|also) `([^`]+)`", README)
    assert named is not None
    key = key_of(NS, "a")
    store = as_user("get", "set", "ping", *named[1].lower().split())
    store.put_many([Put(key, b"value", 60_000)])
    assert store.get_many([key]) == [b"value"]


@pytest.mark.parametrize("missing", ["get", "set", "ft.search", "ft.create"])
def test_a_missing_right_is_said_and_is_no_reason_to_turn_all_away(
    as_user: Callable[..., Any], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = as_user(*(command for command in DOCUMENTED if command != missing))
    call = {
        "get": lambda: store.get("aegis:x"),
        "set": lambda: store.put(Put("aegis:x", b"", 1000)),
    }.get(missing, lambda: store.nearest(SCOPE, unit(1, 0), 4))
    for _ in range(5):
        with pytest.raises(Exception, match="redis_no_permission"):
            call()
    assert not store.store.link.is_open
    assert len([m for m in caplog.messages if "redis_no_permission" in m]) == 1
    assert "hunter2" not in caplog.text


def test_threads_use_connections_of_their_own(server: RedisServer) -> None:
    store = redis_store(server.url, NS)
    wrong: list[Any] = []

    def work(number: int) -> None:
        for turn in range(50):
            key = key_of(NS, f"{number}-{turn}")
            store.put(Put(key, key.encode(), 60_000))
            if store.get(key) != key.encode():
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with server.client() as client:
        until(lambda: len(client.client_list()) <= 18)  # with this one and the listener's
    store.close()


def test_two_event_loops_one_after_the_other(server: RedisServer) -> None:
    store = redis_store(server.url, NS)
    with server.client() as client:
        before = len(client.client_list())

        async def many() -> list[Any]:
            await store.aput(Put(key_of(NS, "a"), b"value", 60_000))
            return list(await asyncio.gather(*(store.aget(key_of(NS, "a")) for _ in range(32))))

        for _ in range(3):
            assert asyncio.run(many()) == [b"value"] * 32
        until(lambda: len(client.client_list()) <= before + 1)  # with the listener


def test_another_program_may_read_the_key(store: Any, server: RedisServer) -> None:
    """With `redis-cli GET`, by the readable end of the key."""
    store.put(Put(key_of(NS, "a"), b'{"v":1}', 60_000))
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        (key,) = client.scan_iter("*:m:latest:0.5")
        assert client.get(key) == '{"v":1}'
