"""Redis in a warm-up: reached, looked at, and the semantic index is made once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aegis_llm import wiring
from aegis_llm.bootstrap.warming import WarmedRedis
from aegis_llm.testing import OllamaSimulator
from tests.bootstrap.warming_kit import MODEL, WAYS, warm
from tests.redis_server import RedisServer

EMBEDDER = "OllamaEmbeddings model=all-minilm"
each_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def plain() -> Iterator[RedisServer]:
    """A Redis without the Query Engine."""
    with RedisServer(modules=False) as server:
        yield server


def redis_of(way: str, ollama: OllamaSimulator, url: str, **settings: Any) -> WarmedRedis:
    """Warm up and return what is told of Redis."""
    usual = {"embed_model": "all-minilm", "embedding_id": EMBEDDER, "models": [MODEL]}
    warmed = warm(way, **{**usual, "url": ollama.base_url, "redis_url": url, **settings})
    assert warmed.redis is not None
    return warmed.redis


def indexes(server: RedisServer) -> list[str]:
    with server.client(decode_responses=True) as client:
        return sorted(client.execute_command("FT._LIST"))


@each_way
def test_the_index_is_made_once(
    ollama: OllamaSimulator, redis_server: RedisServer, redis_url: str, namespace: str, way: str
) -> None:
    before = indexes(redis_server)
    first = redis_of(way, ollama, redis_url, namespace=namespace)
    again = redis_of(way, ollama, redis_url, namespace=namespace)
    wiring.forget_all()
    elsewhere = redis_of(way, ollama, redis_url, namespace=namespace)

    assert [one.index for one in (first, again, elsewhere)] == ["created", "already", "already"]
    (made,) = set(indexes(redis_server)) - set(before)
    assert f":{namespace}:i:OllamaEmbeddings-model-all-minil-384-" in made
    assert (first.search, first.problem, first.digests) == (True, "", True)
    assert first.version is not None
    assert first.ping_ms is not None


@each_way
def test_without_a_query_engine_the_exact_tier_is_ready(
    ollama: OllamaSimulator, plain: RedisServer, way: str
) -> None:
    redis = redis_of(way, ollama, plain.url)
    assert (redis.search, redis.index, redis.problem) == (False, "none", "")
    assert "only exact repeats hit" in redis.note


@each_way
def test_a_redis_that_hangs_is_told_within_the_time(ollama: OllamaSimulator, way: str) -> None:
    with RedisServer() as server:
        server.hang()
        redis = redis_of(way, ollama, server.url, timeout_s=1.0)
        server.resume()
    assert redis.problem
    assert redis.index == "none"


@each_way
def test_a_wrong_password_is_told_and_not_shown(ollama: OllamaSimulator, way: str) -> None:
    with RedisServer(password="right") as server:
        url = server.url.replace("right", "wrong")
        redis = redis_of(way, ollama, url)
    assert "redis_auth; check user and password" in redis.problem
    assert "wrong" not in repr(redis)


@each_way
def test_a_user_who_may_ask_little_is_no_problem(
    ollama: OllamaSimulator, redis_server: RedisServer, redis_url: str, namespace: str, way: str
) -> None:
    with redis_server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", "small", "on", ">pw", "~aegis:*", "&*", "+@all", "-info", "-ft._list"
        )
    try:
        url = redis_url.replace("://", "://small:pw@")
        redis = redis_of(way, ollama, url, namespace=namespace)
    finally:
        with redis_server.client() as client:
            client.execute_command("ACL", "DELUSER", "small")
    assert (redis.problem, redis.version, redis.search) == ("", None, None)
    assert redis.index == "created"


@each_way
def test_in_memory_there_is_nothing_to_make(ollama: OllamaSimulator, way: str) -> None:
    redis = redis_of(way, ollama, "memory://warm")
    assert (redis.problem, redis.index, redis.digests) == ("", "none", True)
    assert redis.ping_ms is None


@each_way
def test_no_index_is_made_for_an_embedder_that_is_not_there(
    ollama: OllamaSimulator, redis_url: str, namespace: str, way: str
) -> None:
    redis = redis_of(way, ollama, redis_url, namespace=namespace, embed_model="nope")
    assert (redis.index, redis.problem) == ("none", "")


def test_many_make_one_index(ollama: OllamaSimulator, redis_url: str, namespace: str) -> None:
    start = threading.Barrier(8)

    def one(place: int) -> WarmedRedis:
        start.wait(30)
        # Another model for each, so that no two are one run.
        return redis_of(
            WAYS[place % 2], ollama, redis_url, namespace=namespace, keep_alive=60 + place
        )

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(8)))
    assert {redis.problem for redis in found} == {""}
    assert {redis.index for redis in found} <= {"created", "already"}
