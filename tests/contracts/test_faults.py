"""Whatever happens to Redis, the model's answer comes, with the reason and one line in the log."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from aegis_llm.breaker import Breaker
from tests.contracts.kit import until
from tests.contracts.world import WAYS, World, warned
from tests.redis_server import RedisServer

NAMES = ("Anna", "Bert", "Cleo", "Dora", "Emil", "Finn", "Gina", "Hugo", "Ivan", "Jana")


def question(number: int) -> str:
    """One of many questions, of which none may answer another."""
    return f"When was {NAMES[number % 10]} born in {1900 + number}?"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(repl_diskless_sync_delay=0) as server:
        yield server


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(server: RedisServer, way: str) -> Iterator[World]:
    """A process with time limits that a busy machine does not reach."""
    yield from begun(server, way, redis_timeout_ms=5000.0, redis_connect_timeout_ms=5000.0)


@pytest.fixture
def hasty(server: RedisServer, way: str) -> Iterator[World]:
    """A process that does not wait long for a Redis that hangs."""
    yield from begun(server, way)


def begun(server: RedisServer, way: str, **options: Any) -> Iterator[World]:
    """A process that has already asked something, and has read what others learnt."""
    with World(server.url, way, **options) as world:
        until(lambda: world.ask(question(0)).reason == "no_candidate" or _refreshed(server))
        assert world.ask(question(0)).outcome == "hit_exact"
        until(lambda: world.answering.service.learner.notebook.loaded)
        yield world


def _refreshed(server: RedisServer) -> bool:
    with server.client() as client:
        client.flushall()
    return False


def recovered(world: World, start: int = 100) -> None:
    """Wait until answers are stored and found again."""
    number = iter(range(start, 1_000_000))

    def hit() -> bool:
        asked = question(next(number))
        return world.ask(asked).outcome == "miss" and world.ask(asked).outcome == "hit_exact"

    until(hit)


def open_for_long(world: World) -> None:
    """Let no probe come while the test looks."""
    world.store.link._breaker._next_probe = 1e18
    world.store.link._breaker._first_pause = world.store.link._breaker._pause = 1e18


def hears_no_more(world: World) -> None:
    """Let the thread that listens to other processes not connect again."""
    listener = world.store._channel._listener
    assert listener is not None
    listener.stop()
    listener._thread.join()


OPENED = ["redis_breaker_open"] * 5


def test_a_hung_redis_costs_three_requests_their_patience_and_then_nobody(
    server: RedisServer, hasty: World, caplog: pytest.LogCaptureFixture
) -> None:
    server.hang()
    reasons = [hasty.ask(question(n)).reason for n in range(3)]
    open_for_long(hasty)
    reasons += [hasty.ask(question(n)).reason for n in range(5)]
    assert reasons == ["redis_timeout"] * 3 + OPENED
    assert warned(caplog) == ["redis_timeout"]


def test_a_killed_redis_is_noticed_and_then_not_asked(
    server: RedisServer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    reasons = [world.ask(question(n)).reason for n in range(3)]
    open_for_long(world)
    hears_no_more(world)
    with socket.create_server(("127.0.0.1", server.port)) as listener:
        listener.setblocking(False)
        reasons += [world.ask(question(n)).reason for n in range(5)]
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert reasons == ["redis_down"] * 3 + OPENED
    assert warned(caplog) == ["redis_down"]


@pytest.mark.parametrize("trouble", ["hang", "kill"])
def test_it_is_used_again_when_it_is_back(server: RedisServer, hasty: World, trouble: str) -> None:
    getattr(server, trouble)()
    for number in range(5):
        assert hasty.ask(question(number)).outcome == "miss"
    assert hasty.store.link.is_open
    if trouble == "hang":
        server.resume()
    else:
        server.start()
    until(lambda: hasty.ask(question(0)).reason != "redis_breaker_open")
    recovered(hasty)
    assert not hasty.store.link.is_open


def test_a_redis_that_is_absent_at_the_start_comes_later(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer()
    try:
        with World(server.url, way) as world:
            reasons = [world.ask(question(n)).reason for n in range(3)]
            assert reasons == ["redis_down"] * 3
            assert world.ask(question(3)).reason == "redis_breaker_open"
            assert warned(caplog) == ["redis_down"]
            server.start()
            recovered(world)
    finally:
        server.close()


def test_a_redis_that_hangs_from_the_start_comes_later(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer() as server:
        server.hang()
        with World(server.url, way) as world:
            for number in range(4):
                origin = world.ask(question(number))
                assert origin.outcome == "miss"
                assert origin.reason.startswith("redis_")
            server.resume()
            recovered(world)
            assert len(warned(caplog)) == len(set(warned(caplog)))


def test_a_socket_that_does_not_exist(
    tmp_path: Any, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with World(f"unix://{tmp_path}/none.sock", way) as world:
        reasons = [world.ask(question(n)).reason for n in range(4)]
    assert reasons == ["redis_down"] * 3 + ["redis_breaker_open"]
    assert warned(caplog) == ["redis_down"]


def test_a_host_that_does_not_exist(way: str, caplog: pytest.LogCaptureFixture) -> None:
    with World("redis://:hunter2@nowhere.invalid:6379", way) as world:
        for number in range(3):
            assert world.ask(question(number)).outcome == "miss"
        until(lambda: world.ask(question(3)).reason == "redis_breaker_open")
    assert set(warned(caplog)) == {"redis_down"}
    assert len(warned(caplog)) == 1
    assert "hunter2" not in caplog.text


def test_a_full_redis_serves_what_it_has(
    server: RedisServer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    server.config_set(maxmemory="1mb")
    for number in range(1, 6):
        origin = world.ask(question(number))
        assert origin.outcome == "miss"
        assert origin.reason.endswith("; not stored: redis_full")
    assert world.ask(question(0)).outcome == "hit_exact"
    assert warned(caplog) == ["redis_full"]
    assert not world.store.link.is_open
    server.config_set(maxmemory=0)
    recovered(world)


@pytest.mark.parametrize("lost", ["FLUSHALL", "FT.DROPINDEX"])
def test_a_flushed_redis_or_a_lost_index_is_one_miss(
    server: RedisServer, world: World, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        names = [] if lost == "FLUSHALL" else client.execute_command("FT._LIST")
        client.execute_command(lost, *names)
    origin = world.ask(question(1))
    assert (origin.outcome, origin.reason) == ("miss", "index_missing")
    recovered(world)
    assert warned(caplog) == ["index_missing"]
    until(lambda: _reworded_hits(world))


def _reworded_hits(world: World) -> bool:
    """Whether the semantic tier finds the neighbour that the gates refuse."""
    return world.ask(question(next(_FRESH))).reason.startswith("veto_")


_FRESH = iter(range(500_000, 1_000_000))


def test_a_replica_that_may_only_be_read(
    server: RedisServer, world: World, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(replicaof=server) as replica:
        with replica.client() as client:
            until(lambda: client.info("replication")["master_link_status"] == "up")
        with World(replica.url, way) as reading:
            until(lambda: reading.ask(question(0)).outcome == "hit_exact")
            caplog.clear()
            for number in range(1, 6):
                origin = reading.ask(question(number))
                assert origin.outcome == "miss"
                assert origin.reason.endswith("not stored: redis_readonly")
            assert warned(caplog) == ["redis_readonly"]
            assert not reading.store.link.is_open


def test_a_wrong_password(way: str, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(password="hunter2") as server:
        with World(server.url.replace("hunter2", "hunter3"), way) as world:
            reasons = [world.ask(question(n)).reason for n in range(4)]
        assert reasons == ["redis_auth"] * 3 + ["redis_breaker_open"]
        assert warned(caplog) == ["redis_auth"]
        assert "hunter" not in caplog.text


def test_a_server_without_the_query_engine(way: str, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(modules=False) as server, World(server.url, way) as world:
        for number in range(5):
            origin = world.ask(question(number))
            assert (origin.outcome, origin.reason) == ("miss", "no_query_engine")
            assert world.ask(question(number)).outcome == "hit_exact"
        assert warned(caplog) == ["no_query_engine"]
        assert world.embedder.calls == 1, "nothing can be found by a vector"


PLANTED = [b"", b"junk", b"\x80\x04\x95", b"null", b'{"v":1}', b"[" * 100_000, b"\xff" * 10]


def test_a_corrupt_value_is_a_miss_and_is_replaced(
    server: RedisServer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for planted in PLANTED:
        with server.client() as client:
            for key in client.scan_iter("aegis:v1:default:x:*"):
                client.set(key, planted)
            for key in client.scan_iter("aegis:v1:default:s:*"):
                client.hset(key, "value", planted)
        assert world.ask(question(0)).outcome == "miss"
        assert world.ask(question(0)).outcome == "hit_exact"
    assert warned(caplog) == []


def test_the_answer_of_another_question_planted_here_is_a_miss(
    server: RedisServer, world: World
) -> None:
    world.ask(question(1))
    with server.client() as client:
        one, two = client.scan_iter("aegis:v1:default:x:*")
        values = client.get(one), client.get(two)
        client.set(one, values[1])
        client.set(two, values[0])
    for number in (0, 1):
        assert world.ask(question(number)).outcome == "hit_semantic", (
            "its own entry is still there"
        )
    with server.client() as client:
        assert not client.exists(one, two), "what was planted is gone"


def test_a_value_of_a_foreign_type_is_a_miss_and_is_replaced(
    server: RedisServer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for name, *rest in (
        ("LPUSH", "x"), ("HSET", "x", "y"), ("SADD", "x"), ("ZADD", "1", "x"),
        ("XADD", "*", "x", "y"),
    ):  # fmt: skip
        with server.client() as client:
            for key in [*client.scan_iter("aegis:v1:default:*")]:
                client.delete(key)
                if b":x:" in key:
                    client.execute_command(name, key, *rest)
        assert world.ask(question(0)).outcome == "miss"
        assert world.ask(question(0)).outcome == "hit_exact"
    assert warned(caplog) == []


def test_the_breaker_counts_only_what_comes_in_a_row(server: RedisServer, hasty: World) -> None:
    assert isinstance(hasty.store.link._breaker, Breaker)
    for _ in range(3):
        server.hang()
        reasons = [hasty.ask(question(n)).reason for n in (1, 2)]
        server.resume()
        assert reasons == ["redis_timeout"] * 2
        until(lambda: hasty.ask(question(0)).outcome == "hit_exact")
        assert not hasty.store.link.is_open


def test_no_reason_is_a_sentence(server: RedisServer, world: World) -> None:
    server.kill()
    assert re.fullmatch(r"[a-z_]+", world.ask(question(1)).reason)
