"""invalidate() of the LangChain adapters: what a chain answered from a document is gone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
import redis
from langchain_core.globals import set_llm_cache

from aegis_llm import ConfigError, StoreTrouble, cache_control, observe
from aegis_llm.stores import redis as redis_module
from aegis_llm.stores.channel import Channel
from aegis_llm.stores.document_commands import version_key
from tests.langchain.handbook import PROMPTS, SHOP, fixed, rag_chain
from tests.langchain.kit import Kit, until

ASKED, REWORDED = "Where is the head office?", "Where is the head office located?"


@pytest.fixture(params=["blocking", "awaited"])
def invalidate(request: pytest.FixtureRequest) -> Callable[..., int]:
    """Call the blocking method or the awaited one."""

    def call(adapter: Any, *args: Any, **given: Any) -> int:
        if request.param == "blocking":
            return int(adapter.invalidate(*args, **given))
        return int(asyncio.run(adapter.ainvalidate(*args, **given)))

    return call


def outcomes(chain: Any, *questions: str) -> list[str]:
    with observe() as seen:
        for question in questions:
            chain.invoke(question)
    return seen.outcomes


def test_answers_from_a_document_are_gone(kit: Kit, invalidate: Callable[..., int]) -> None:
    llm, other = kit.aegis(), kit.aegis(ttl=60.0)
    chain, elsewhere = (
        rag_chain(model, fixed(SHOP), PROMPTS["two messages"]) for model in (llm, other)
    )
    with cache_control(documents=["handbook"], tags=["shop"]):
        assert outcomes(chain, ASKED, REWORDED, REWORDED) == ["miss", "hit_semantic", "hit_local"]
    assert outcomes(elsewhere, ASKED, REWORDED) == ["hit_exact", "hit_semantic"]
    assert invalidate(llm, "nobody's") == 0
    assert invalidate(llm, document="handbook") == 1
    assert outcomes(elsewhere, REWORDED) == ["miss"], "other settings, same cache"
    assert outcomes(chain, ASKED) != ["hit_local"]
    assert kit.calls >= 2
    assert invalidate(llm, everything=True) == 0
    for one in (chain, elsewhere):
        assert outcomes(one, "Who founded the company?") == ["miss"] or one is elsewhere


def test_a_cache_for_any_model(kit: Kit, invalidate: Callable[..., int]) -> None:
    cache = kit.cache()
    llm = cache.bind(kit.stock())
    with cache_control(tags=["shop"]):
        assert outcomes(llm, ASKED, ASKED) == ["miss", "hit_local"]
    assert invalidate(cache, tag="shop") == 1
    assert outcomes(llm, ASKED, ASKED) == ["miss", "hit_local"]
    invalidate(cache, everything=True)
    assert outcomes(llm, ASKED) == ["miss"]
    set_llm_cache(None)


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ((), {}),
        (("",), {}),
        (([],), {}),
        ((7,), {}),
        ((["a", None],), {}),
        (("a",), {"everything": True}),
        ((), {"tag": "a", "everything": True}),
        ((b"a",), {}),
    ],
)
def test_what_is_to_be_invalidated_must_be_said(
    kit: Kit, args: tuple[Any, ...], given: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="invalidate"):
        kit.aegis(warm=False).invalidate(*args, **given)


def test_a_redis_that_is_down_is_no_secret(kit: Kit, invalidate: Callable[..., int]) -> None:
    llm = kit.aegis(redis_url="redis://:hunter2@127.0.0.1:1", warm=False)
    for given in ({"document": "a"}, {"everything": True}):
        with pytest.raises(StoreTrouble, match=r"redis_down: .*do it again") as caught:
            invalidate(llm, **given)
        assert "hunter2" not in str(caught.value)


def test_a_corpus_version_shares_nothing_with_another(kit: Kit) -> None:
    llm = newer = kit.aegis()
    assert outcomes(llm, ASKED) == ["miss"]
    with cache_control(corpus_version="2"):
        assert outcomes(newer, ASKED, ASKED) == ["miss", "hit_local"]
    with cache_control(corpus_version="3"):
        assert outcomes(newer, ASKED) == ["miss"]
    assert outcomes(llm, ASKED) == ["hit_local"]


@pytest.mark.parametrize("lost", ["evicted", "failed over"])
def test_everything_stays_invalid_when_redis_loses_the_version(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A process that starts later finds nothing from before, either."""
    monkeypatch.setattr(redis_module, "channel_of", lambda _, name, age: Channel(name, age))
    llm = kit.aegis(local_max_bytes=0)
    assert outcomes(llm, ASKED, ASKED, REWORDED) == ["miss", "hit_exact", "hit_semantic"]
    with redis.Redis.from_url(kit.redis_url) as client:
        key = version_key(kit.namespace)
        before = client.get(key)
        llm.invalidate(everything=True)
        client.delete(key)
        if lost == "failed over":
            client.set(key, before)
            llm._answering.service.store._channel.good_until = -math.inf
            outcomes(llm, "Is anybody there?")
            until(lambda: client.get(key) != before)
        newcomer = kit.aegis(local_max_bytes=0, ttl=60.0)
        assert outcomes(newcomer, ASKED, REWORDED) == ["miss", "hit_semantic"]
        assert kit.calls == (3 if lost == "failed over" else 2)
