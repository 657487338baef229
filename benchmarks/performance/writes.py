"""Writes a second, one after another: the exact tier, and both tiers, beside raw commands."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.outputs import ChatGeneration, Generation
from langchain_redis import RedisCache

from aegis_llm import plan as p
from aegis_llm.control import cache_control
from aegis_llm.lookup import Lookup
from aegis_llm.service import Service
from aegis_llm.stores.index_redisvl import SemanticIndex
from aegis_llm.stores.redis_commands import semantic_fields
from aegis_llm.values import Answer
from aegis_llm.wiring import build
from benchmarks.common.measuring import Effort, Target, Timings, interleave
from benchmarks.common.parts import (
    ANSWER,
    Bench,
    KnownModels,
    answer_message,
    cache_strings,
    request,
)
from benchmarks.common.report import Table
from benchmarks.performance.corpus import DIMENSION, EMBEDDING_ID
from benchmarks.performance.result import Line, Result, at_least
from langchain_aegis import AegisCache

SET = "floor: redis-py SET PX"
HSET = "floor: redis-py HSET, indexed"
EXACT = "core, exact tier: Lookup.store"
BOTH = "core, both tiers: Lookup.store"
CACHE = "AegisCache.update, exact tier"
CACHE_BOTH = "AegisCache.update, both tiers"
PEER = "langchain-redis RedisCache.update (no expiry)"
STORED = Answer(text=ANSWER, done_reason="stop", completion_tokens=200)


class Vectors:
    """An embedder that takes no time: one of a thousand unit vectors for each text."""

    embedding_id = EMBEDDING_ID

    def __init__(self) -> None:
        made = np.random.default_rng(1).standard_normal((1000, DIMENSION)).astype(np.float32)
        self.vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
        self._next = itertools.cycle(range(1000))

    def embed(self, text: str) -> list[float]:
        """Return the next vector."""
        return self.vectors[next(self._next)].tolist()  # type: ignore[no-any-return]


def measure(bench: Bench, effort: Effort) -> Result:
    """Time writes; what comes before a write is prepared outside the timing."""
    vectors = Vectors()
    exact = _service(build(bench.config()))
    both = _service(build(bench.config(namespace=bench.namespace + "b"), vectors))
    caches = {
        CACHE: AegisCache(config=bench.config(namespace=bench.namespace + "lc")),
        CACHE_BOTH: AegisCache(
            config=bench.config(namespace=bench.namespace + "lcb"), embeddings=_Embeddings(vectors)
        ),
        PEER: RedisCache(bench.url, prefix=bench.namespace + "peer"),
    }
    index = SemanticIndex(bench.namespace + "raw", EMBEDDING_ID, DIMENSION)
    client = bench.client()
    index.create(client)
    value = b"x" * 1300
    blobs = itertools.cycle([vector.tobytes() for vector in vectors.vectors])
    number = itertools.count()

    def hset() -> object:
        entry = f"{next(number):064x}"
        record = p.SemanticRecord(entry, "s" * 64, "What is it?", next(blobs), "", "m", (), (), 1)
        return client.hset(index.prefix + entry, items=semantic_fields(record, "x", value))

    targets = [
        Target(SET, lambda: client.set(f"{bench.namespace}{next(number):064x}", value, px=10**6)),
        Target(HSET, hset),
        _stores(EXACT, exact),
        _stores(BOTH, both),
        *(_updates(name, cache) for name, cache in caches.items()),
    ]
    timings = interleave(targets, effort)
    for namespace in (bench.namespace + "b", bench.namespace + "lcb"):
        stored = sum(1 for _ in client.scan_iter(match=f"aegis:v1:{namespace}:s:*", count=5000))
        assert stored >= effort.calls, (namespace, stored)
    return Result([*_lines(timings)], [_table(timings, effort)])


def _service(service: Service) -> Service:
    service.digests.register(KnownModels())
    return service


def _stores(name: str, service: Service) -> Target:
    number = itertools.count()
    opened: deque[Lookup] = deque()

    service.open(request(question="Is there an index?"))  # makes it

    def prepare(count: int) -> None:
        with cache_control(refresh=True):
            opened.extend(
                service.open(request(question=f"What does part {next(number)} do?"))
                for _ in range(count)
            )

    return Target(name, lambda: opened.popleft().store(STORED), prepare)


def _updates(name: str, cache: Any) -> Target:
    prompt, llm_string = cache_strings()
    number = itertools.count()
    prepared: deque[tuple[str, list[Generation]]] = deque()

    def prepare(count: int) -> None:
        for _ in range(count):
            asked = prompt.replace("the second floor", f"floor {next(number)}")
            cache.lookup(asked, llm_string)
            prepared.append((asked, [ChatGeneration(message=answer_message())]))

    def update() -> None:
        asked, generations = prepared.popleft()
        cache.update(asked, llm_string, generations)

    return Target(name, update, prepare)


class _Embeddings(Embeddings):
    """LangChain's form of an embedder."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def embed_query(self, text: str) -> list[float]:
        return self._vectors.embed(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self._vectors.embed(text) for text in texts]


def _lines(timings: dict[str, Timings]) -> list[Line]:
    wanted = ((EXACT, SET, 0.7), (CACHE, SET, 0.7), (BOTH, HSET, 0.8), (CACHE_BOTH, HSET, 0.8))
    show: Callable[[str], str] = lambda name: f"{1e6 / timings[name].percentile_us(50):,.0f}"  # noqa: E731
    return [
        at_least(
            f"writes a second, {name} / {floor.removeprefix('floor: ')}",
            show(name),
            show(floor),
            timings[floor].over(timings[name]),
            reach,
        )
        for name, floor, reach in wanted
    ]


def _table(timings: dict[str, Timings], effort: Effort) -> Table:
    table = Table(
        "Writes, one after another",
        ("us", "p50", "p95", "p99", "a second (1 / p50)", "a second (mean)"),
        note=(
            f"n = {effort.calls} for each. A write follows a look-up, as in use; the look-up and "
            "the embedding are outside the timing."
        ),
    )
    for name, taken in timings.items():
        figures = [f"{taken.percentile_us(percent):.1f}" for percent in (50, 95, 99)]
        rate = f"{1e6 / taken.percentile_us(50):,.0f}"
        table.rows.append((name, *figures, rate, f"{taken.rate():,.0f}"))
    return table
