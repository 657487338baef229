"""cache_chain: settings and chains that are refused, and what is said of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import (
    RunnableLambda,
)

from aegis_llm import ConfigError
from langchain_aegis import AegisCache, cache_chain
from tests.langchain.chain_kit import (
    cached,
)
from tests.langchain.kit import Kit
from tests.langchain.test_chains import shouted


def test_what_cannot_be_told_apart_needs_a_name(kit: Kit) -> None:
    lock = asyncio.Lock()

    def uses_a_lock(_: str) -> str:
        return str(lock)

    with pytest.raises(ConfigError, match=r"uses lock: a asyncio\.locks\.Lock.*name=\"handbook"):
        cache_chain(RunnableLambda(uses_a_lock))
    assert cached(kit, RunnableLambda(uses_a_lock), name="locks").invoke("x") == str(lock)


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
def test_a_chain_that_remembers_is_refused() -> None:
    from langchain_core.chat_history import InMemoryChatMessageHistory
    from langchain_core.runnables.history import RunnableWithMessageHistory

    chain: Any = RunnableWithMessageHistory(
        RunnableLambda(lambda x: x), lambda _: InMemoryChatMessageHistory()
    )
    for name in (None, "named"):
        with pytest.raises(ConfigError, match="remembers"):
            cache_chain(chain, name=name)


def test_a_judge_that_cannot_be_asked_is_said_once(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        lines = [one.message for one in caplog.records if "could judge" in one.message]
        caplog.clear()
        return lines

    chain = RunnableLambda(shouted)
    cached(kit, chain)
    AegisCache(redis_url=kit.redis_url)
    assert said() == []
    for _ in range(2):
        cached(kit, chain, judge="serve", check_hits=0.5)
        AegisCache(redis_url=kit.redis_url, judge_model="qwen3:8b")
    first, second = said()
    assert first.startswith("cache_chain knows no server that could judge: judge, check_hits does")
    assert second.startswith("AegisCache knows no server that could judge: judge_model does")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tll": 5}, "did you mean 'ttl'"),
        ({"extractor": len}, "unknown option 'extractor'"),
        ({"name": ""}, "name=''"),
        ({"question": 7}, "question=7"),
        ({"ttl": -1}, "ttl"),
    ],
)
def test_a_wrong_setting_is_told(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        cache_chain(RunnableLambda(lambda x: x), **given)
