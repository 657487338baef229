"""AegisCache behind LangChain's own caching, for models that are not ChatAegis."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import ConfigurableField
from langchain_ollama import OllamaLLM

from aegis_llm import NotCachedError, cache_control, observe
from aegis_llm.scheduler.pool import DaemonPool
from langchain_aegis import AegisCache
from tests.langchain.fakes import Named, Nameless, Streaming
from tests.langchain.kit import MODEL, NO_TLS, Kit, forget_stock_models, outcome

ASKED = "What is the capital of France?"
NEAR = "What's the capital of France?"


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    Named.calls.clear()


def test_a_named_model_is_cached(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen:
        first, second, third = (Named().invoke(text) for text in (ASKED, ASKED, NEAR))
    assert seen.outcomes == ["miss", "hit_local", "hit_semantic"]
    assert first.text == second.text == third.text
    assert len({first.id, second.id, third.id}) == 3
    assert outcome(second) == "hit_local"
    assert "aegis" not in first.response_metadata
    assert second.usage_metadata
    assert second.usage_metadata["total_tokens"] == 0
    assert len(Named.calls) == 1


def test_models_and_settings_are_told_apart(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    changes: list[dict[str, Any]] = [{}, {"model": "m-2"}, {"temperature": 0.5}]
    for given in changes:
        for text in (ASKED, NEAR, ASKED):
            assert Named(**given).invoke(text).text.startswith(given.get("model", "m-1"))
    assert len(Named.calls) == 3
    Named().invoke(ASKED, stop=["x"])
    Named().bind(stop=["y"]).invoke(ASKED)
    Named().invoke([SystemMessage("Be brief."), HumanMessage(ASKED)])
    assert len(Named.calls) == 6


@pytest.mark.parametrize("make", ["ChatOllama", "OllamaLLM"])
def test_a_model_without_identity_is_not_cached(
    kit: Kit, make: str, caplog: pytest.LogCaptureFixture
) -> None:
    set_llm_cache(kit.cache())
    if make == "ChatOllama":
        models: list[Any] = [kit.stock(), kit.stock(model="mistral:7b")]
    else:
        given: dict[str, Any] = {"base_url": kit.ollama.base_url, "client_kwargs": NO_TLS}
        models = [OllamaLLM(model=name, **given) for name in (MODEL, "mistral:7b")]
    for model in models:
        for _ in range(2):
            model.invoke(ASKED)
    assert kit.ollama.count("/api/chat", "/api/generate") == 4
    warnings = [r.getMessage() for r in caplog.records if r.name == "aegis_llm"]
    assert len(warnings) == 1
    assert "ChatAegis" in warnings[0]
    assert "bind" in warnings[0]
    for model in models:
        model._client.close()


def test_a_bound_model_has_an_identity(kit: Kit) -> None:
    cache = kit.cache()
    models = [
        cache.bind(kit.stock(**given))
        for given in ({}, {"temperature": 0.5}, {"model": "mistral:7b"}, {"num_ctx": 2048})
    ]
    for _ in range(2):
        for model in models:
            model.invoke(ASKED)
    assert kit.calls == 4
    assert outcome(cache.bind(kit.stock()).invoke(ASKED)) == "hit_local"
    assert kit.calls == 4
    kit.stock().invoke(ASKED)  # not bound, no global cache
    assert kit.calls == 5


def test_a_bound_model_stays_what_it_was(kit: Kit) -> None:
    stock = kit.stock(temperature=0.5)
    bound = kit.cache().bind(stock)
    assert isinstance(bound, type(stock))
    assert type(bound).__name__ == "ChatOllama"
    assert stock.cache is None
    assert bound.model_dump() == stock.model_dump()
    assert bound.bind_tools([{"name": "f", "description": "d", "parameters": {}}])
    assert bound.with_structured_output({"title": "x", "type": "object", "properties": {}})
    with pytest.raises(TypeError, match="LangChain model"):
        kit.cache().bind("llama3.1")


def test_configured_fields_of_a_bound_model(kit: Kit) -> None:
    model = (
        kit.cache()
        .bind(kit.stock())
        .configurable_fields(
            temperature=ConfigurableField(id="temperature"), model=ConfigurableField(id="model")
        )
    )
    chosen = [{}, {"temperature": 0.9}, {"model": "mistral:7b"}]
    for expected in (1, 2, 3):
        model.with_config(configurable=chosen[expected - 1]).invoke(ASKED)
        assert kit.calls == expected
    for one in chosen:
        hit = model.with_config(configurable=one).invoke(ASKED)
        assert outcome(hit) == "hit_local"
    assert kit.calls == 3
    del model
    forget_stock_models()


def test_bound_fakes_share_nothing(kit: Kit) -> None:
    cache = kit.cache()
    models = [cache.bind(GenericFakeChatModel(messages=iter([text] * 3))) for text in "ab"]
    assert [m.invoke(ASKED).text for m in models] == ["a", "b"]
    assert [m.invoke(ASKED).text for m in models] == ["a", "b"]
    assert outcome(models[0].invoke(ASKED)) == "hit_local"
    assert [cache.bind(Nameless(model=name)).invoke(ASKED).text for name in ("x", "y", "x")] == [
        f"x: {ASKED}", f"y: {ASKED}", f"x: {ASKED}"
    ]  # fmt: skip
    assert Named.calls == ["x", "y"]


def test_an_aegis_model_ignores_an_aegis_cache(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    model = kit.aegis()
    assert [outcome(model.invoke(ASKED)) for _ in range(3)] == ["miss", "hit_local", "hit_local"]
    import redis

    with redis.Redis.from_url(kit.redis_url) as client:
        assert len(list(client.scan_iter(f"aegis:v1:{kit.namespace}:[xs]:*"))) == 2
    assert kit.calls == 1


def test_another_cache_tells_two_aegis_models_apart(kit: Kit) -> None:
    set_llm_cache(InMemoryCache())
    with cache_control(bypass=True):
        for given in ({}, {"temperature": 0.5}, {"model": "mistral:7b"}, {"num_ctx": 2048},
                      {"reasoning": False}, {"format": "json"}):  # fmt: skip
            kit.aegis(**given).invoke(ASKED)
            kit.aegis(**given).invoke(ASKED)
    assert kit.calls == 6


def test_a_model_that_refuses_a_cache_gets_none(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    Named(cache=False).invoke(ASKED)
    Named(cache=False).invoke(ASKED)
    assert len(Named.calls) == 2


def test_a_miss_embeds_once_and_a_repeat_not_at_all(kit: Kit) -> None:
    set_llm_cache(kit.cache(local_max_bytes=0))
    before = len(kit.embeddings.asked)
    Named().invoke(ASKED)
    assert kit.embeddings.asked[before:] == [ASKED]
    Named().invoke(ASKED)
    assert len(kit.embeddings.asked) == before + 1
    Named().invoke(NEAR)
    assert kit.embeddings.asked[before:] == [ASKED, NEAR]


def test_a_stream_is_left_to_the_model(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    for _ in range(2):
        assert "".join(chunk.text for chunk in Streaming().stream(ASKED)) == "streamed"
    assert len(Named.calls) == 2


async def test_awaited_through_langchain(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen:
        answers = [(await Named().ainvoke(text)).text for text in (ASKED, ASKED, NEAR)]
    assert len(set(answers)) == 1
    assert seen.outcomes == ["miss", "hit_local", "hit_semantic"]


async def test_awaited_it_blocks_no_loop_and_takes_no_thread(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = kit.cache(embeddings=None, local_max_bytes=0)
    asked = ('[{"x": 1}]', "[('model', 'm')]")
    await cache.alookup("warm up", asked[1])

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a thread was taken")

    monkeypatch.setattr(DaemonPool, "submit", refuse)
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
    generation = Named()._generate([HumanMessage(ASKED)]).generations
    with blockbuster_ctx():
        assert await cache.alookup(*asked) is None
        await cache.aupdate(*asked, generation)
        found = await cache.alookup(*asked)
    assert found is not None
    assert found[0].text == generation[0].text


async def test_awaited_with_vectors_it_blocks_no_loop(kit: Kit) -> None:
    cache = kit.cache(local_max_bytes=0)
    set_llm_cache(cache)
    await Named().ainvoke("warm up")
    with blockbuster_ctx():
        for text in (ASKED, NEAR):
            await cache.alookup(text, "[('model', 'm')]")


def test_tenants_that_ask_at_once_keep_their_own(kit: Kit) -> None:
    cache = kit.cache()
    asked = (ASKED, "[('model', 'm')]")
    generations = {t: Named(model=t)._generate([HumanMessage(ASKED)]).generations for t in "ab"}

    def within(tenant: str, call: Any, *args: Any) -> Any:
        with cache_control(tenant=tenant):
            return call(*args)

    for tenant in "ab":  # both miss before either stores
        assert within(tenant, cache.lookup, *asked) is None
    for tenant in "ab":
        within(tenant, cache.update, *asked, generations[tenant])
    for tenant in "ab":
        assert within(tenant, cache.lookup, *asked)[0].text == f"{tenant}: {ASKED}"
    assert cache.lookup(*asked) is None


def test_identical_requests_at_once_all_get_answers(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    with observe() as seen, ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(copy_context().run, Named().invoke, ASKED) for _ in range(64)]
        assert {job.result().text for job in jobs} == {f"m-1: {ASKED}"}
    assert len(seen) == 64
    assert outcome(Named().invoke(ASKED)) == "hit_local"


def test_control_reaches_the_cache(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError):
        Named().invoke(ASKED)
    assert Named.calls == []
    Named().invoke(ASKED)
    with cache_control(bypass=True):
        Named().invoke(ASKED)
    with cache_control(refresh=True):
        Named().invoke(ASKED)
    with cache_control(tenant="a"):
        Named().invoke(ASKED)
    assert len(Named.calls) == 4
    with cache_control(only_if_cached=True):
        assert outcome(Named().invoke(ASKED)) == "hit_local"


async def test_clear(kit: Kit) -> None:
    cache = kit.cache()
    other = AegisCache(redis_url=kit.redis_url, namespace="other")
    asked = (ASKED, "[('model', 'm')]")
    generation = Named()._generate([HumanMessage(ASKED)]).generations
    other.update(*asked, generation)
    for clear in (cache.clear, cache.aclear):
        cache.update(*asked, generation)
        assert cache.lookup(*asked) is not None
        cleared = clear()
        if cleared is not None:
            await cleared
        assert cache.lookup(*asked) is None
        assert await cache.alookup("What's the capital of France?", asked[1]) is None
    assert other.lookup(*asked) is not None
    other._service.store.close()


def test_what_was_said_before_does_not_count_with_its_numbers(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    for number in range(2):
        talk = [HumanMessage("Hi"), AIMessage("Hello!", id=f"run-{number}", response_metadata={
            "total_duration": number}, usage_metadata={"input_tokens": number, "output_tokens": 1,
            "total_tokens": number + 1}), HumanMessage(ASKED)]  # fmt: skip
        Named().invoke(talk)
    assert len(Named.calls) == 1
    Named().invoke([HumanMessage("Hi"), AIMessage("Good day!"), HumanMessage(ASKED)])
    assert len(Named.calls) == 2
