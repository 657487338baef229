"""What the metrics say of whole models: streams, rewordings, look-alikes, the queue, texts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from aegis_llm import wiring
from aegis_llm.metrics import snapshot
from aegis_llm.metrics.registry import METRICS, Call
from langchain_aegis import AegisEmbeddings
from tests.langchain.chain_kit import cached
from tests.langchain.kit import MODEL, NO_TLS, Kit
from tests.langchain.ways import WAYS


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


def test_a_cache_of_any_model_counts_what_it_could_not_store(kit: Kit) -> None:
    llm = kit.cache().bind(kit.stock(num_predict=2))
    for _ in range(2):
        llm.invoke("How do I reset my password?")
    told = snapshot()
    assert told.outcomes == {"miss": 2}
    assert told.not_stored == {"done_reason_length": 2}


def test_a_cache_of_any_model_tells_of_a_request_when_the_model_has_answered(kit: Kit) -> None:
    heard: list[Call] = []
    METRICS.listeners = (heard.append,)
    try:
        llm = kit.cache().bind(kit.stock())
        for _ in range(2):
            llm.invoke("How do I reset my password?")
    finally:
        METRICS.listeners = ()
    assert [one.origin and one.origin.outcome for one in heard] == ["miss", "hit_local"]
    assert heard[0].seconds > (heard[0].origin.lookup_ms if heard[0].origin else 0) / 1000
    assert [one.output_tokens > 0 for one in heard] == [True, False]


@pytest.mark.parametrize("name", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_request_that_cannot_even_be_sent_counts_as_failed(akit: Kit, name: str) -> None:
    llm = akit.aegis(temperature=math.nan)
    with suppress(ValueError):  # what JSON cannot say the client refuses
        await WAYS[name](llm, "How do I reset my password?")
    (told,) = snapshot().requests
    assert (told.outcome, told.count) == ("failed", 1)


async def cancelled(llm: Any, text: str) -> None:
    call = asyncio.ensure_future(llm.ainvoke(text))
    await asyncio.sleep(0)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call


async def read(llm: Any, text: str) -> None:
    async for _ in llm.astream(text):
        pass


async def left(llm: Any, text: str) -> None:
    async with aclosing(llm.astream(text)) as chunks:
        await anext(chunks)


def left_blocking(llm: Any, text: str) -> None:
    with closing(llm.stream(text)) as chunks:
        next(chunks)


BLOCKING: list[Callable[[Any, str], object]] = [
    lambda llm, text: llm.invoke(text),
    lambda llm, text: list(llm.stream(text)),
    left_blocking,
    lambda llm, text: llm.batch([text, text]),
]
AWAITED: list[Callable[[Any, str], Awaitable[object]]] = [
    lambda llm, text: llm.ainvoke(text), read, left, cancelled
]  # fmt: skip


async def test_every_way_of_a_busy_program_counts_exactly_once(akit: Kit) -> None:
    """64 threads and 64 tasks, whole and streamed, in batches; some leave, some are cancelled."""
    llm = akit.aegis()
    asked = [f"How many employees had ACME in {year}?" for year in range(1990, 2000)]

    def thread(number: int) -> None:
        for turn in range(8):
            BLOCKING[turn % 4](llm, asked[(number + turn) % len(asked)])

    async def task(number: int) -> None:
        for turn in range(8):
            await AWAITED[turn % 4](llm, asked[(number * 3 + turn) % len(asked)])

    with ThreadPoolExecutor(64) as threads:
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(loop.run_in_executor(threads, thread, number) for number in range(64)),
            *(task(number) for number in range(64)),
        )
    told = snapshot()
    begun = 64 * 2 * (5 + 4)
    assert begun - 2 * 64 <= told.total <= begun  # some were cancelled before they looked up
    assert {r.reason for r in told.requests if r.outcome == "failed"} <= {"given_up", "cancelled"}
    looked_up = sum(known.count for known in told.lookups.values())
    assert looked_up == told.total - told.outcomes.get("failed", 0)


@pytest.mark.parametrize("name", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_run_of_a_cached_chain_without_a_question_counts_as_bypassed(
    kit: Kit, name: str
) -> None:
    chain = cached(kit, RunnableLambda(lambda given: "It depends."))
    way = getattr(chain, name)
    if name == "ainvoke":
        assert await way({"number": 3}) == "It depends."
    elif name == "astream":
        assert [chunk async for chunk in way({"number": 3})] == ["It depends."]
    else:
        assert "".join(way({"number": 3})) == "It depends."
    (told,) = snapshot().requests
    assert (told.outcome, told.reason, told.count) == ("bypass", "uncacheable_request", 1)
