"""Fixtures of the whole suite: a real Redis, a simulated Ollama, real sentence embeddings."""

from __future__ import annotations

import gc
import os
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

os.environ.pop("COLUMNS", None)  # workers of a parallel run have it; a test gives its own

from aegis_llm import wiring
from aegis_llm.metrics.registry import METRICS
from aegis_llm.testing import OllamaSimulator
from tests.redis_server import RedisServer

_MANY = 50_000
_file: list[Path] = []


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis with the Query Engine for the whole session; never stopped by a test."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """The URL of the session's Redis; a private one is emptied after the test."""
    yield redis_server.url
    if redis_server.private:
        with redis_server.client() as client:
            client.flushall()


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def _simulator() -> Iterator[OllamaSimulator]:
    with OllamaSimulator() as simulator:
        yield simulator


@pytest.fixture
def ollama(_simulator: OllamaSimulator) -> Iterator[OllamaSimulator]:
    """A simulated Ollama with no calls counted yet."""
    _simulator.reset()
    _simulator.faults.clear()
    _simulator.gate.set()
    yield _simulator
    _simulator.gate.set()
    _simulator.faults.release()
    _simulator.faults.clear()


@pytest.fixture
def embeddings(ollama: OllamaSimulator) -> Any:
    """The real all-MiniLM-L6-v2, served by the simulated Ollama."""
    from langchain_ollama import OllamaEmbeddings

    return OllamaEmbeddings(model="all-minilm", base_url=ollama.base_url)


@pytest.fixture(autouse=True)
def _stock_clients_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the HTTP clients that a test made: the stock models never close theirs.

    Without this, each is a ResourceWarning in whatever test happens to collect it.
    """
    made: list[httpx.Client | httpx.AsyncClient] = []

    def tracked(kind: type[httpx.Client] | type[httpx.AsyncClient]) -> None:
        original = kind.__init__

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            made.append(self)

        monkeypatch.setattr(kind, "__init__", init)

    tracked(httpx.Client)
    tracked(httpx.AsyncClient)
    yield
    awaited = [client for client in made if isinstance(client, httpx.AsyncClient)]
    for client in made:
        if isinstance(client, httpx.Client):
            client.close()
    made.clear()
    if awaited:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del client, awaited
            gc.collect()


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Let every test have services, memory stores, counts and once-only log lines of its own."""
    METRICS.renew()
    yield
    wiring.forget_all()


def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Leave what there is when a file begins to itself: collections in its tests take no time.

    What the tests before have left is collected first: a cache that lives on is asked for things
    by later tests, as all caches of a process are.
    """
    if _file == [item.path]:
        return
    elsewhere = not _file or _file[0].parent != item.path.parent
    _file[:] = [item.path]
    if elsewhere or len(gc.get_objects(generation=2)) > _MANY:
        gc.unfreeze()
        gc.collect()
        gc.freeze()


def pytest_report_header() -> list[str]:
    """Name the servers that the tests run against."""
    with RedisServer() as server:
        return [f"redis: {server.header()}"]
