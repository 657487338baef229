"""Warm-up by the objects of LlamaIndex: they tell all of it, and their requests load nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from ollama import AsyncClient, Client

from aegis_llm.bootstrap.warming import Warmed, abootstrap, bootstrap
from llama_index.llms.aegis import AegisEmbedding
from tests.llama_index.kit import MODEL, Kit

SYSTEM = "You answer the questions of the customers of a shop. " * 40
each_way = pytest.mark.parametrize("way", ["blocking", "awaited"])


def warm(way: str, *objects: Any, **settings: Any) -> Warmed:
    if way == "blocking":
        return bootstrap(*objects, **settings)
    return asyncio.run(abootstrap(*objects, **settings))


def ask(llm: Any) -> str:
    messages = [
        ChatMessage(role="system", content=SYSTEM),
        ChatMessage(role="user", content="How long is the refund period?"),
    ]
    outcome: str = llm.chat(messages).additional_kwargs["aegis"]["outcome"]
    return outcome


def preload(kit: Kit) -> Any:
    return next(
        c.body for c in kit.ollama.calls if c.path == "/api/chat" and not c.body["messages"]
    )


@each_way
def test_the_first_request_loads_nothing_and_is_cached(kit: Kit, way: str) -> None:
    llm = kit.aegis(
        warm=False, context_window=8192, additional_kwargs={"num_thread": 4}, keep_alive="7m"
    )

    warmed = warm(way, llm, prefixes=[SYSTEM])

    loads, read = kit.ollama.loads, kit.ollama.prefilled
    assert warmed.problems == ()
    assert preload(kit) == {
        "model": MODEL,
        "messages": [],
        "stream": False,
        "options": {"num_ctx": 8192, "num_thread": 4},
        "keep_alive": "7m",
    }
    assert [ask(llm) for _ in range(2)] == ["miss", "hit_local"]
    assert kit.ollama.loads == loads
    assert kit.ollama.prefilled - read < 20
    assert warmed.redis is not None
    assert (warmed.redis.digests, warmed.redis.index) == (True, "created")


@each_way
def test_an_embedding_model_of_ours_is_warm_too(kit: Kit, way: str) -> None:
    embeds = AegisEmbedding(
        "all-minilm",
        base_url=kit.ollama.base_url,
        redis_url=kit.redis_url,
        namespace=kit.namespace,
    )
    kit.stores.append(embeds._links.vectors.kept.store)
    warmed = warm(way, kit.aegis(warm=False, embed_model=embeds))
    assert warmed.problems == ()
    assert [model.kind for model in warmed.servers[0].models] == ["chat", "embedding"]
    assert warmed.redis is not None
    assert warmed.redis.index == "created"
    loads = kit.ollama.loads
    embeds.get_query_embedding("How are you?")
    assert kit.ollama.loads == loads


@each_way
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_server_of_a_client_that_was_given_is_warmed(kit: Kit, way: str, kind: Any) -> None:
    given = kind(host=kit.ollama.base_url, headers={"x-team": "blue"})
    name = "client" if kind is Client else "async_client"
    llm = kit.aegis(warm=False, base_url="http://127.0.0.1:1", **{name: given})
    warmed = warm(way, llm)
    assert warmed.problems == ()
    asked = [call for call in kit.ollama.calls if call.path == "/api/ps"]
    assert {call.headers.get("x-team") for call in asked} == {"blue"}


def test_without_a_window_none_is_sent(kit: Kit) -> None:
    bootstrap(kit.aegis(warm=False))
    assert preload(kit)["options"] == {}
