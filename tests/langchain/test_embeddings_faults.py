"""Whatever becomes of Redis, the caller of AegisEmbeddings has its vector, and the right one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from aegis_llm import vectorizing
from aegis_llm.ollama_client import OllamaModels
from aegis_llm.quiet import Quiet
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.testing import MiniLM, OllamaSimulator
from aegis_llm.vectors.codec import encode, pack
from tests.langchain.embeddings_kit import Makes, make
from tests.langchain.kit import until
from tests.redis_server import RedisServer

__all__ = ["make"]
Embed = Callable[[Any, str], list[float]]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(modules=False) as server:
        server.pid  # noqa: B018 - skips where there is no server of our own
        yield server


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(params=["blocking", "awaited"])
def embed(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Embed:
    """Embeds in one way, and sees that the vector is right."""

    def embed(made: Any, text: str) -> list[float]:
        if request.param == "blocking":
            vector = made.embed_query(text)
        else:
            vector = runner.run(made.aembed_query(text))
        right = MiniLM().embed([text])[0]
        assert np.allclose(vector, right, atol=1e-5), "a wrong vector"
        return list(vector)

    return embed


@pytest.fixture
def made(make: Makes, server: RedisServer) -> Any:
    """One that has kept a vector, with no copy of it in the process, and limits that hold."""
    made = make(
        redis_url=server.url,
        local_max_bytes=0,
        redis_timeout_ms=150.0,
        redis_connect_timeout_ms=150.0,
    )
    made.connect_now()
    made.embed_query("kept")
    return made


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    return [message.partition("; ")[0].rpartition(": ")[2] for message in found]


def test_a_redis_that_is_killed_and_comes_back(
    made: Any, embed: Embed, server: RedisServer, make: Makes, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    for number in range(6):
        embed(made, f"text {number}")
        embed(made, "kept")
    assert made._vectors.kept.store.link.is_open
    assert warned(caplog) == ["redis_down"]
    server.start()

    def hits() -> bool:
        before = len(make.sent)
        embed(made, "again")
        return len(make.sent) == before

    until(hits)


def test_a_redis_that_hangs(made: Any, embed: Embed, server: RedisServer) -> None:
    server.hang()
    for number in range(5):
        embed(made, f"text {number}")
    assert made._vectors.kept.store.link.is_open
    server.resume()


def test_a_redis_that_was_never_there(make: Makes, embed: Embed) -> None:
    made = make(redis_url="redis://127.0.0.1:1", local_max_bytes=0)
    for number in range(4):
        embed(made, f"text {number}")


def test_a_full_redis_gives_what_it_has(
    made: Any, embed: Embed, server: RedisServer, make: Makes, caplog: pytest.LogCaptureFixture
) -> None:
    server.config_set(maxmemory="100kb")
    for _ in range(2):
        embed(made, "new")
        embed(made, "kept")
    assert make.sent == [["kept"], ["new"], ["new"]]
    assert warned(caplog) == ["redis_full"]
    assert not made._vectors.kept.store.link.is_open


@pytest.mark.parametrize(
    "plant",
    [
        ("SET", b""), ("SET", b"junk"), ("SET", b"AEV1" + b"\0" * 600), ("SET", b"\xff" * 1556),
        ("LPUSH", b"x"), ("HSET", b"x", b"y"), ("XADD", b"*", b"x", b"y"),
    ],
    ids=lambda plant: f"{plant[0]}-{len(plant[1])}",
)  # fmt: skip
def test_rubbish_is_a_miss(
    made: Any, embed: Embed, server: RedisServer, make: Makes, plant: tuple[Any, ...]
) -> None:
    with server.client() as client:
        (key,) = client.scan_iter("aegis:v1:*:v:*")
        client.delete(key)
        client.execute_command(plant[0], key, *plant[1:])
    embed(made, "kept")
    embed(made, "kept")
    assert len(make.sent) == 2, "it was replaced"


def test_vectors_that_were_swapped_or_cut_are_misses(
    made: Any, embed: Embed, server: RedisServer, make: Makes
) -> None:
    embed(made, "another")
    with server.client() as client:
        one, two = client.scan_iter("aegis:v1:*:v:*")
        values = client.get(one), client.get(two)
        client.set(one, values[1] or b"")
        client.set(two, (values[1] or b"")[:-4])
    embed(made, "kept")
    embed(made, "another")
    assert len(make.sent) == 4


def test_a_kept_vector_of_another_dimension_is_replaced(
    made: Any, embed: Embed, server: RedisServer, make: Makes
) -> None:
    """As when the digest stayed and the model did not."""
    with server.client() as client:
        (key,) = client.scan_iter("aegis:v1:*:v:*")
        client.set(key, encode(key.decode(), pack([0.6, 0.8])))
    vectors = made.embed_documents(["kept", "new"])
    assert [len(vector) for vector in vectors] == [384, 384]
    embed(made, "kept")
    assert make.sent[1:] == [["new"], ["kept"]]


def test_a_fault_of_ours_costs_no_vector(
    make: Makes, embed: Embed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(vectorizing, "_quiet", Quiet())
    monkeypatch.setattr(MemoryStore, "get_many", broken)
    monkeypatch.setattr(MemoryStore, "put_many", broken)
    made = make(redis_url="memory://", local_max_bytes=0)
    for _ in range(3):
        embed(made, "a")
    assert len([r for r in caplog.records if r.exc_info]) == 1


def test_an_ollama_that_does_not_list_its_models_embeds_all_the_same(
    make: Makes, embed: Embed, ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OllamaModels, "fetch", lambda _: {})
    made = make(warm=False)
    for _ in range(2):
        embed(made, "a")
    assert make.sent == [["a"], ["a"]], "without a digest nothing is kept"
