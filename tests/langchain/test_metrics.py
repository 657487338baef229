"""What the metrics say of whole models: streams, rewordings, look-alikes, the queue, texts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aegis_llm import wiring
from aegis_llm.metrics import snapshot
from aegis_llm.metrics.registry import METRICS
from langchain_aegis import AegisEmbeddings
from tests.langchain.kit import MODEL, NO_TLS, Kit


@pytest.fixture(autouse=True)
def _from_zero() -> Iterator[None]:
    METRICS.renew()
    yield
    METRICS.renew()


def test_every_way_to_ask_is_counted_once(kit: Kit) -> None:
    llm = kit.aegis()
    llm.invoke("How do I reset my password?")
    llm.invoke("How can I reset my password?")
    list(llm.stream("How do I reset my password?"))
    list(llm.stream("How many employees had ACME in 2019?"))
    list(llm.stream("How many employees had ACME in 2020?"))
    told = snapshot()
    assert told.outcomes == {"miss": 3, "hit_semantic": 1, "hit_local": 1}
    assert told.vetoes == {"numbers": 1}
    assert {r.framework for r in told.requests} == {"langchain"}
    assert {tier: known.count for tier, known in told.lookups.items()} == {
        "local": 1, "none": 3, "semantic": 1,
    }  # fmt: skip
    assert told.saved_seconds > 0
    assert told.queue_wait.count == 3  # each call of the model went through the queue


async def test_awaited_ways_are_counted_too(akit: Kit) -> None:
    llm = akit.aegis()
    await llm.ainvoke("How do I reset my password?")
    async for _ in llm.astream("How do I reset my password?"):
        pass
    assert snapshot().outcomes == {"miss": 1, "hit_local": 1}


def test_the_queue_and_the_cache_of_a_model_are_shown(kit: Kit) -> None:
    llm = kit.aegis(num_parallel=2)
    llm.invoke("How do I reset my password?")
    told = snapshot()
    (queue,) = [queue for queue in told.queues if queue.model == MODEL]
    assert (queue.waiting, queue.in_flight, queue.slots) == (0, 0, 2)
    (cache,) = [cache for cache in told.caches if cache.namespace == kit.namespace]
    assert (cache.redis_open, cache.embedder_open, cache.local_entries) == (False, False, 1)


def test_texts_are_counted_by_where_their_vectors_came_from(kit: Kit) -> None:
    def embedder() -> AegisEmbeddings:
        return AegisEmbeddings(
            model="all-minilm",
            base_url=kit.ollama.base_url,
            redis_url=kit.redis_url,
            namespace=kit.namespace,
            client_kwargs=NO_TLS,
        )

    made = embedder()
    made.embed_documents(["one", "two"])
    made.embed_documents(["two", "three"])
    wiring.forget_all()  # as another process
    embedder().embed_documents(["one"])
    assert snapshot().vectors == {"hit_exact": 1, "hit_local": 1, "miss": 3}
