"""Hits of single entries: counted here, written to Redis in batches, gone with their entries."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from aegis_llm import cache_control
from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.metrics import usage, usage_of
from aegis_llm.metrics.registry import METRICS
from aegis_llm.metrics.usage import hits_key, used_key
from aegis_llm.scheduler.hits import HitBook
from aegis_llm.stores import redis_usage
from aegis_llm.stores.memory_notes import MemoryNotes
from aegis_llm.values import Origin
from aegis_llm.wiring import build
from tests.metrics.kit import ask, call
from tests.redis_server import RedisServer

PATIENT = {"redis_timeout_ms": 5000, "redis_connect_timeout_ms": 5000}


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    with redis_server.client() as made:
        yield made


@pytest.fixture
def cache(redis_url: str, namespace: str) -> Iterator[Answering]:
    made = connected(redis_url, namespace)
    yield made
    made.service.store.close()


def connected(url: str, namespace: str, **options: Any) -> Answering:
    config = AegisConfig().with_options(
        redis_url=url, namespace=namespace, **{**PATIENT, **options}
    )
    return Answering(build(config))


def used(cache: Answering, text: str, times: int = 1) -> str:
    """Ask until the entry has hit so often, have it written, and return its id."""
    call(cache, ask(text))
    for _ in range(times):
        lookup, _ = cache.call(ask(text), lambda: None, lambda _: [])
        assert lookup.origin.hit
    cache.service.hits.flush()
    return str(lookup.origin.entry_id)


def test_hits_and_last_use_are_written_in_one_batch(
    cache: Answering, client: Any, namespace: str
) -> None:
    before = time.time_ns() // 1_000_000
    one, other = used(cache, "one", 3), used(cache, "other")
    told = usage_of(client, namespace, [one, other, "f" * 64])
    assert {id_: each.hits for id_, each in told.items()} == {one: 3, other: 1}
    assert all(before <= each.used_ms <= time.time_ns() // 1_000_000 for each in told.values())
    assert used(cache, "one", 2) == one  # asks three times
    assert usage_of(client, namespace, [one])[one].hits == 6
    assert 0 < client.pttl(hits_key(namespace)) <= 3_660_000
    assert 0 < client.pttl(used_key(namespace)) <= 3_660_000


def test_nothing_is_written_on_the_way_of_a_hit(
    cache: Answering, client: Any, namespace: str
) -> None:
    call(cache, ask())
    for _ in range(1000):
        call(cache, ask())
    assert not client.exists(hits_key(namespace), used_key(namespace))
    cache.service.hits.flush()
    assert client.hvals(hits_key(namespace)) == [b"1000"]


def test_what_is_counted_is_written_soon_by_itself(
    cache: Answering, client: Any, namespace: str
) -> None:
    call(cache, ask())
    call(cache, ask())
    book = cache.service.hits
    assert book.flushing is not None
    book.hurry()  # does not wait the five seconds
    book.flushing.result(10)
    assert client.hvals(hits_key(namespace)) == [b"1"]
    assert book.asleep


def test_hits_of_many_threads_are_counted_exactly(
    cache: Answering, client: Any, namespace: str
) -> None:
    call(cache, ask())
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        for turn in range(250):
            call(cache, ask())
            if turn % 50 == 0:
                cache.service.hits.flush()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cache.service.hits.flush()
    assert client.hvals(hits_key(namespace)) == [b"4000"]


@pytest.mark.parametrize("way", ["reject", "invalidate", "everything", "clear", "aclear"])
async def test_what_is_removed_has_no_use_any_more(
    cache: Answering, client: Any, namespace: str, way: str
) -> None:
    with cache_control(documents=["doc"]):
        gone = used(cache, "gone")
    kept = used(cache, "kept")
    service = cache.service
    if way == "reject":
        lookup, _ = cache.call(ask("gone"), lambda: None, lambda _: [])
        assert lookup.origin.reject()
        service.hits.flush()
    elif way == "invalidate":
        service.invalidate(document="doc")
    elif way == "everything":
        service.invalidate(everything=True)
    elif way == "clear":
        service.store.clear()
    else:
        await service.store.aclear()
        await service.store.aclose()
    left = {kept} if way in ("reject", "invalidate") else set()
    assert set(usage_of(client, namespace, [gone, kept])) == left
    assert client.zcard(used_key(namespace)) == len(left)


def test_what_was_not_used_for_long_and_what_is_too_many_goes(
    client: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(now_ms: int, *ids: str) -> None:
        redis_usage.add_hits(client, namespace, dict.fromkeys(ids, 1), now_ms, 10_000)

    add(0, "old")
    add(5_000, "kept")
    add(10_001, "new")
    assert set(usage_of(client, namespace, ["old", "kept", "new"])) == {"kept", "new"}
    monkeypatch.setattr(usage, "MOST_USED", 3)
    add(10_002, *(f"more {number}" for number in range(2)))
    assert client.zrange(used_key(namespace), 0, -1) == [b"new", b"more 0", b"more 1"]
    assert client.hlen(hits_key(namespace)) == 3


def test_without_the_right_it_is_said_once_and_nothing_breaks(
    redis_server: RedisServer, redis_url: str, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    rights = ["~*", "&*", "+@all", "-hincrby", "-zadd"]
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">word", *rights)
    try:
        cache = connected(redis_url.replace("//", "//reader:word@", 1), namespace)
        for _ in range(3):
            used(cache, "one")
        cache.service.store.close()
    finally:
        with redis_server.client() as client:
            client.execute_command("ACL", "DELUSER", "reader")
    said = [r.message for r in caplog.records if "single entries" in r.message]
    assert len(said) == 1
    assert "allow HINCRBY" in said[0]


def test_what_cannot_be_written_is_kept_for_the_next_time() -> None:
    class Down(MemoryNotes):
        down = True

        def add_hits(self, hits: Any, now_ms: int, keep_ms: int) -> None:
            if self.down:
                raise StoreTrouble("redis_down")
            super().add_hits(hits, now_ms, keep_ms)

    notes = Down(lambda _: [])
    book = HitBook(notes, lambda: 7, 60.0)
    book.noted.extend(["a", "a", "b"])
    book.flush()
    book.noted.append("a")
    notes.down = False
    book.flush()
    assert {id_: (one.hits, one.used_ms) for id_, one in notes.hits.items()} == {
        "a": (3, 7), "b": (1, 7),
    }  # fmt: skip


def test_what_cannot_be_written_for_long_takes_little_memory_and_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuts: list[int] = []

    class Counting(Counter[str]):
        def most_common(self, n: int | None = None) -> list[tuple[str, int]]:
            cuts.append(len(self))
            return super().most_common(n)

    monkeypatch.setattr("aegis_llm.scheduler.hits.Counter", Counting)
    book = HitBook(MemoryNotes(lambda _: []), lambda: 7, 60.0)
    book.asleep = False  # nothing is written
    for number in range(60_000):
        METRICS.ended(Origin("hit_local", entry_id=f"{number}"), "langchain", book)
    assert len(book._pending) <= 20_000
    assert len(book.noted) < 1000
    assert len(cuts) <= 6  # the most hits are sought at one hit of many thousands


def test_what_was_counted_last_is_written_when_the_program_ends(
    redis_url: str, client: Any, namespace: str
) -> None:
    code = f"""
        from tests.metrics.kit import ask, call
        from tests.metrics.test_usage import connected
        cache = connected({redis_url!r}, {namespace!r})
        print(call(cache, ask()), call(cache, ask()))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "miss hit_local\n", done.stderr
    assert client.hvals(hits_key(namespace)) == [b"1"]


def test_the_size_of_a_namespace_is_looked_up_in_the_background(
    cache: Answering, client: redis.Redis
) -> None:
    for text in ("one", "two", "three"):
        call(cache, ask(text))
    assert cache.service.state().entries is None  # nobody has looked yet
    cache.service.hits.look()
    state = cache.service.state()
    assert state.entries == 3
    assert state.redis_bytes is not None
    assert state.redis_bytes > 100_000


def test_use_that_is_no_number_is_unknown(client: Any, namespace: str) -> None:
    client.hset(hits_key(namespace), mapping={"a": "what?", "b": 2})
    assert usage_of(client, namespace, ["a", "b"]) == {"b": usage.Usage(2, 0)}
