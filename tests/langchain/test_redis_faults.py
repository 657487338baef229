"""Redis in trouble: the same answers, no exception, the reason in the metadata, one log line."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from aegis_llm import NotCachedError, cache_control
from tests.langchain.kit import Kit, auntil, outcome, reason, until
from tests.langchain.ways import ainvoke, astream, invoke, stream
from tests.redis_server import RedisServer

ASKED = "What is the capital of France?"
NEAR = "What's the capital of France?"
WAYS = {way.__name__: way for way in (invoke, ainvoke, stream, astream)}


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis that the test may break."""
    with RedisServer() as running:
        yield running


@pytest.fixture
def broken(kit: Kit, server: RedisServer) -> Kit:
    kit.redis_url = server.url
    return kit


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said about Redis."""
    told = [r for r in caplog.records if r.name == "aegis_llm" and r.levelno >= logging.WARNING]
    assert not [r for r in told if r.exc_info], "an internal error"
    return [r.getMessage() for r in told if r.getMessage().startswith("Redis at")]


async def test_down_from_the_start(kit: Kit, way: Any, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer() as gone:
        kit.redis_url = gone.url
    model = kit.aegis(local_max_bytes=0)
    expected = kit.stock().invoke(ASKED).text
    for number in range(6):
        answer = await way(model, ASKED)
        assert answer.text == expected
        assert outcome(answer) == "miss"
        assert reason(answer).startswith("redis_"), number
    assert reason(await way(model, ASKED)) == "redis_breaker_open"
    assert len(lines(caplog)) == 1
    assert "redis_down" in lines(caplog)[0]
    assert kit.calls == 8


async def test_killed_and_started_again(
    broken: Kit, server: RedisServer, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = broken.aegis(local_max_bytes=0)
    expected = (await way(model, ASKED)).text
    assert outcome(await way(model, ASKED)) == "hit_exact"
    server.kill()
    for _ in range(5):
        answer = await way(model, ASKED)
        assert answer.text == expected
        assert outcome(answer) == "miss"
        assert reason(answer) in ("redis_down", "redis_breaker_open")
    assert len(lines(caplog)) == 1
    server.restart()
    link = model._answering.service.store.link
    while outcome(await way(model, ASKED)) != "hit_exact":
        await auntil(lambda: not link.is_open or link._breaker._next_probe < time.monotonic())


async def test_hung_and_resumed(
    broken: Kit, server: RedisServer, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = broken.aegis(local_max_bytes=0, redis_timeout_ms=100, redis_connect_timeout_ms=100)
    expected = (await way(model, ASKED)).text
    await auntil(lambda: _stored(server) > 0)
    server.hang()
    try:
        answer: Any = None
        for _ in range(6):
            answer = await way(model, ASKED)
            assert answer.text == expected
            assert outcome(answer) == "miss"
            assert reason(answer) in ("redis_timeout", "redis_breaker_open")
        assert reason(answer) == "redis_breaker_open"
        assert len(lines(caplog)) == 1
    finally:
        server.resume()


async def test_full(
    broken: Kit, server: RedisServer, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = broken.aegis(local_max_bytes=0)
    await way(model, ASKED)
    server.config_set(maxmemory="1mb", maxmemory_policy="noeviction")
    hit = await way(model, ASKED)
    assert outcome(hit) == "hit_exact"  # what is there is still read
    for number in range(5):
        answer = await way(model, f"How much is {number} + 1?")
        assert answer.text == f"{number} + 1 is {number + 1}."
        assert outcome(answer) == "miss"
    assert len(lines(caplog)) == 1
    assert "maxmemory" in lines(caplog)[0]


async def test_full_says_so_in_the_metadata(broken: Kit, server: RedisServer) -> None:
    server.config_set(maxmemory="1mb", maxmemory_policy="noeviction")
    model = broken.aegis(local_max_bytes=0)
    for answer in (model.invoke(ASKED), await model.ainvoke(NEAR)):
        assert "redis_full" in reason(answer)


async def test_flushed(broken: Kit, server: RedisServer, way: Any) -> None:
    model = broken.aegis(local_max_bytes=0)
    first = await way(model, ASKED)
    assert outcome(await way(model, NEAR)) == "hit_semantic"
    with server.client() as client:
        client.flushall()  # the index goes too
    answers = [await way(model, text) for text in (ASKED, NEAR, ASKED)]
    assert {answer.text.replace("'s", " is") for answer in answers} == {first.text}
    assert outcome(answers[0]) == "miss"
    assert outcome(answers[2]) == "hit_exact"

    with server.client() as client:
        client.flushall()
    await way(model, ASKED)
    await way(model, "Something else?")  # by now the index is there again
    assert outcome(await way(model, NEAR)) == "hit_semantic"


async def test_the_index_alone_is_gone(broken: Kit, server: RedisServer, way: Any) -> None:
    model = broken.aegis(local_max_bytes=0)
    await way(model, ASKED)
    with server.client() as client:
        for name in client.execute_command("FT._LIST"):
            client.execute_command("FT.DROPINDEX", name)
    assert outcome(await way(model, ASKED)) == "hit_exact"
    with cache_control(only_if_cached=True):
        with pytest.raises(NotCachedError, match="index_missing"):
            await way(model, NEAR)
        while True:  # it is made again, and takes in what is there
            try:
                hit = await way(model, NEAR)
                break
            except NotCachedError:
                continue
    assert outcome(hit) == "hit_semantic"


PLANTED = {
    "garbage": b"\x80garbage",
    "empty": b"",
    "other JSON": b'{"a": 1}',
    "another schema": b'{"v": 2, "key": "x"}',
    "pickle": b"\x80\x04\x95\x15\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "no answers": b'{"v":1,"key":"K","answers":[],"created_ms":1,"expires_ms":99999999999999}',
    "expired": b'{"v":1,"key":"K","answers":[{"text":"old"}],"created_ms":1,"expires_ms":2}',
    "another key": b'{"v":1,"key":"0","answers":[{"text":"x"}],"created_ms":1,"expires_ms":9e13}',
    "wrong kind": None,
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_planted_value_is_a_miss(kit: Kit, way: Any, planted: str) -> None:
    model = kit.aegis(local_max_bytes=0, embeddings=None)
    expected = (await way(model, ASKED)).text
    with redis.Redis.from_url(kit.redis_url) as client:
        (key,) = client.scan_iter(f"aegis:v1:{kit.namespace}:x:*")
        value = PLANTED[planted]
        client.delete(key)
        if value is None:
            client.lpush(key, "a list")
        else:
            client.set(key, value.replace(b"K", key.split(b":")[4]))
    missed = await way(model, ASKED)
    assert (outcome(missed), missed.text) == ("miss", expected)
    assert outcome(await way(model, ASKED)) == "hit_exact"


async def test_a_wrong_password(kit: Kit, way: Any, caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(password="right-password") as server:
        kit.redis_url = server.url.replace("right-password", "wrong-password")
        model = kit.aegis()
        for _ in range(4):
            assert (await way(model, ASKED)).text
        assert kit.calls >= 1
        (line,) = lines(caplog)
        assert "redis_auth" in line
        assert "wrong-password" not in caplog.text


async def test_a_replica_that_cannot_be_written(
    broken: Kit, server: RedisServer, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(replicaof=server) as replica:
        broken.redis_url = replica.url
        model = broken.aegis(local_max_bytes=0, embeddings=None)
        first, second = [await way(model, ASKED) for _ in range(2)]
        assert first.text == second.text
        assert outcome(second) == "miss"
        assert len(lines(caplog)) == 1
        assert "redis_readonly" in lines(caplog)[0]


async def test_a_redis_without_the_query_engine(
    kit: Kit, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisServer(modules=False) as plain:
        kit.redis_url = plain.url
        model = kit.aegis(local_max_bytes=0)
        assert outcome(await way(model, ASKED)) == "miss"
        assert outcome(await way(model, ASKED)) == "hit_exact"
        assert outcome(await way(model, NEAR)) == "miss"
        assert len(lines(caplog)) == 1
        assert "Redis 8" in lines(caplog)[0]


def test_the_local_copy_serves_while_redis_is_away(broken: Kit, server: RedisServer) -> None:
    model = broken.aegis()
    first = model.invoke(ASKED)
    server.kill()
    assert outcome(model.invoke(ASKED)) == "hit_local"
    answer = model.invoke(NEAR)
    assert answer.text
    again = model.invoke(NEAR)
    assert outcome(again) == "hit_local"
    assert again.text == answer.text
    assert first.text


def _stored(server: RedisServer) -> int:
    with server.client() as client:
        return len(list(client.scan_iter("aegis:v1:*:x:*")))


def test_many_threads_meet_a_dead_redis(broken: Kit, server: RedisServer) -> None:
    model = broken.aegis()
    model.invoke(ASKED)
    server.kill()
    answers = model.batch([f"How much is {n} + 1?" for n in range(32)])
    assert [answer.text for answer in answers] == [f"{n} + 1 is {n + 1}." for n in range(32)]
    until(lambda: model._answering.service.store.link.is_open)
