"""Warm-up by the objects of LangChain: they tell all of it, and their requests load nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_ollama import OllamaEmbeddings

from aegis_llm.bootstrap.learned import learned_workload
from aegis_llm.bootstrap.warming import Warmed, abootstrap, bootstrap
from langchain_aegis import AegisEmbeddings
from tests.langchain.kit import MODEL, NO_TLS, Kit, outcome

SYSTEM = "You answer the questions of the customers of a shop. " * 40
each_way = pytest.mark.parametrize("way", ["blocking", "awaited"])


def warm(way: str, *objects: Any, **settings: Any) -> Warmed:
    if way == "blocking":
        return bootstrap(*objects, **settings)
    return asyncio.run(abootstrap(*objects, **settings))


def ask(llm: Any, text: str = "How long is the refund period?") -> Any:
    return llm.invoke([SystemMessage(SYSTEM), HumanMessage(text)])


def preloads(kit: Kit) -> list[Any]:
    return [c.body for c in kit.ollama.calls if c.path == "/api/chat" and not c.body["messages"]]


def stock(kit: Kit, **given: Any) -> OllamaEmbeddings:
    """Return LangChain's own embeddings; unlike the kit's they remember nothing."""
    return OllamaEmbeddings(
        model="all-minilm", base_url=kit.ollama.base_url, client_kwargs=NO_TLS, **given
    )


@each_way
def test_the_first_request_loads_nothing_and_is_cached(kit: Kit, way: str) -> None:
    llm = kit.aegis(
        warm=False,
        num_ctx=8192,
        num_thread=4,
        temperature=0,
        keep_alive="20m",
        embeddings=stock(kit),
    )

    warmed = warm(way, llm, prefixes=[SYSTEM])

    loads = kit.ollama.loads
    assert warmed.problems == ()
    assert preloads(kit) == [
        {
            "model": MODEL,
            "messages": [],
            "stream": False,
            "options": {"num_ctx": 8192, "num_thread": 4},
            "keep_alive": "20m",
        }
    ]
    digests = llm._answering.service.digests
    assert digests.known(llm._source.server, MODEL) == kit.ollama.digest(MODEL)
    assert [outcome(ask(llm)) for _ in range(2)] == ["miss", "hit_local"]
    assert kit.ollama.loads == loads
    assert warmed.redis is not None
    assert (warmed.redis.digests, warmed.redis.index) == (True, "created")


@each_way
def test_the_prefix_that_was_read_is_the_one_of_the_requests(kit: Kit, way: str) -> None:
    llm = kit.aegis(warm=False)
    warm(way, llm, prefixes=[SYSTEM])
    read = kit.ollama.prefilled
    ask(llm)
    assert kit.ollama.prefilled - read < 20


@each_way
def test_the_embedding_model_of_the_cache_is_warm_too(kit: Kit, way: str) -> None:
    embeddings = stock(kit, num_ctx=256)
    warmed = warm(way, kit.aegis(warm=False, embeddings=embeddings))
    chat, embeds = warmed.servers[0].models
    assert (chat.kind, embeds.kind, embeds.name) == ("chat", "embedding", "all-minilm")
    assert embeds.options == {"num_ctx": 256}
    loads = kit.ollama.loads
    embeddings.embed_query("How are you?")
    assert kit.ollama.loads == loads
    assert warmed.redis is not None
    assert warmed.redis.index == "created"


@each_way
def test_embeddings_alone_can_be_warmed(kit: Kit, way: str) -> None:
    embeddings = AegisEmbeddings(
        model="all-minilm",
        base_url=kit.ollama.base_url,
        client_kwargs=NO_TLS,
        redis_url=kit.redis_url,
        namespace=kit.namespace,
        keep_alive=900,
    )
    kit.stores.append(embeddings._vectors.kept.store)
    warmed = warm(way, embeddings)
    assert warmed.problems == ()
    (model,) = warmed.servers[0].models
    assert (model.kind, model.state) == ("embedding", "loaded")
    loads = kit.ollama.loads
    embeddings.embed_query("How are you?")
    assert kit.ollama.loads == loads
    embed = next(call.body for call in kit.ollama.calls if call.path == "/api/embed")
    assert (embed["keep_alive"], embed["input"]) == (900, [])


@pytest.mark.parametrize("turned", [False, True])
def test_two_models_of_one_name_are_loaded_with_the_larger_context(kit: Kit, turned: bool) -> None:
    small = kit.aegis(warm=False, num_ctx=2048, embeddings=None)
    large = kit.aegis(warm=False, num_ctx=8192, embeddings=None)
    bootstrap(*((large, small) if turned else (small, large)), prefixes=[SYSTEM])
    loads = kit.ollama.loads
    for llm in (small, large, small):
        ask(llm)
    assert kit.ollama.loads == loads
    assert [body["options"] for body in preloads(kit)] == [{"num_ctx": 8192}]


def test_a_keep_alive_of_its_own_is_noted_where_requests_carry_another(kit: Kit) -> None:
    warmed = bootstrap(kit.aegis(warm=False, keep_alive="5m"), keep_alive="1h")
    assert preloads(kit)[0]["keep_alive"] == "1h"
    (note,) = warmed.notes
    assert f"each request of {MODEL}" in note
    assert "keep_alive='5m'" in note


def test_headers_of_the_model_are_sent(kit: Kit) -> None:
    kwargs = {**NO_TLS, "headers": {"x-team": "blue"}}
    bootstrap(kit.aegis(warm=False, client_kwargs=kwargs))
    asked = [call for call in kit.ollama.calls if call.path == "/api/ps"]
    assert {call.headers.get("x-team") for call in asked} == {"blue"}


def test_a_model_that_does_not_schedule_is_warmed_beside_the_queue(kit: Kit) -> None:
    warmed = bootstrap(kit.aegis(warm=False, schedule=False), prefixes=[SYSTEM])
    assert warmed.ok
    assert warmed.servers[0].prefixes[0].sent == 4


def test_a_redis_that_is_down_costs_no_answer(kit: Kit) -> None:
    llm = kit.aegis(warm=False, redis_url="redis://127.0.0.1:1")
    warmed = bootstrap(llm)
    assert len(warmed.problems) == 1
    assert warmed.servers[0].models[0].state == "loaded"
    assert ask(llm).content


async def test_nothing_blocks_the_event_loop(kit: Kit) -> None:
    llm = kit.aegis(warm=False)
    await abootstrap(llm, prefixes=[SYSTEM])  # imports
    with blockbuster_ctx():
        warmed = await abootstrap(llm, prefixes=[SYSTEM])
    assert warmed.ok


def test_what_the_cache_has_seen_is_the_workload(kit: Kit) -> None:
    llm = kit.aegis()
    for number in range(5):
        ask(llm, f"How long is the refund period of article {number}?")
    llm._answering.service.store.ready(10)

    found = learned_workload(kit.redis_url, kit.namespace, concurrent=2)

    assert (found.models, found.concurrent) == ((MODEL,), 2)
    assert found.prompt_tokens > 400
    assert found.output_tokens > 3
    assert found.source.startswith(f"5 answers of {kit.namespace} at redis://127.0.0.1:")
