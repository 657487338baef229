"""`cache_control` and `observe` reach through chains, batches, threads and tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.runnables.config import ContextThreadPoolExecutor

from aegis_llm import ConfigError, NotCachedError, cache_control, observe
from tests.langchain.handbook import PROMPTS, QUESTIONS, SHOP, fixed, rag_chain
from tests.langchain.kit import Kit

ASKED = "Where is the head office?"
TENANTS: list[dict[str, Any]] = [
    {"tenant": "a"}, {"tenant": "b"}, {"tenant": "a", "user": "u"}, {},
]  # fmt: skip


@pytest.fixture
def chain(kit: Kit) -> Any:
    return rag_chain(kit.aegis(), fixed(SHOP), PROMPTS["two messages"])


def by_invoke(chain: Any) -> str:
    return str(chain.invoke(ASKED))


def by_batch(chain: Any) -> str:
    first, second = chain.batch([ASKED, ASKED], config={"max_concurrency": 1})
    assert first == second
    return str(first)


def by_stream(chain: Any) -> str:
    return "".join(chain.stream(ASKED))


def by_ainvoke(chain: Any) -> str:
    return str(asyncio.run(chain.ainvoke(ASKED)))


def by_abatch(chain: Any) -> str:
    return str(asyncio.run(chain.abatch([ASKED]))[0])


def by_astream(chain: Any) -> str:
    async def drain() -> str:
        return "".join([part async for part in chain.astream(ASKED)])

    return asyncio.run(drain())


def by_parallel(chain: Any) -> str:
    return str(RunnableParallel(a=chain, b=RunnableLambda(len)).invoke(ASKED)["a"])


def by_lambda(chain: Any) -> str:
    return str(RunnableLambda(lambda question: chain.invoke(question)).invoke(ASKED))


def by_task(chain: Any) -> str:
    async def run() -> str:
        return str(await asyncio.create_task(chain.ainvoke(ASKED)))

    return asyncio.run(run())


def by_thread(chain: Any) -> str:
    async def run() -> str:
        return str(await asyncio.to_thread(chain.invoke, ASKED))

    return asyncio.run(run())


def by_pool(chain: Any) -> str:
    with ContextThreadPoolExecutor() as pool:
        return str(pool.submit(chain.invoke, ASKED).result())


CALLS: list[Callable[[Any], str]] = [
    by_invoke, by_batch, by_stream, by_ainvoke, by_abatch, by_astream,
    by_parallel, by_lambda, by_task, by_thread, by_pool,
]  # fmt: skip


@pytest.fixture(params=CALLS, ids=lambda call: call.__name__, name="ask")
def _ask(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_everything_is_observed(chain: Any, ask: Any) -> None:
    with observe() as outer:
        with observe() as first:
            answer = ask(chain)
        with observe() as second:
            assert ask(chain) == answer
    assert first.outcomes[0] == "miss"
    assert set(second.outcomes) == {"hit_local"}
    assert list(outer) == [*first, *second]


def test_bypass(chain: Any, ask: Any, kit: Kit) -> None:
    answer = ask(chain)
    before = kit.calls
    with cache_control(bypass=True), observe() as seen:
        assert ask(chain) == answer
    assert set(seen.outcomes) == {"bypass"}
    assert {origin.reason for origin in seen} == {"asked"}
    assert kit.calls == before + len(seen)


def test_bypass_stores_nothing(chain: Any, ask: Any, kit: Kit) -> None:
    with cache_control(bypass=True):
        ask(chain)
    with observe() as seen:
        ask(chain)
    assert seen.outcomes[0] == "miss"


def test_refresh(chain: Any, ask: Any, kit: Kit) -> None:
    ask(chain)
    before = kit.calls
    with cache_control(refresh=True), observe() as seen:
        ask(chain)
    assert set(seen.outcomes) == {"miss"}
    assert kit.calls == before + len(seen)
    with observe() as seen:
        ask(chain)
    assert set(seen.outcomes) == {"hit_local"}


def test_only_if_cached(chain: Any, ask: Any, kit: Kit) -> None:
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError, match="only_if_cached"):
        ask(chain)
    assert kit.calls == 0
    answer = ask(chain)
    before = kit.calls
    with cache_control(only_if_cached=True), observe() as seen:
        assert ask(chain) == answer
    assert set(seen.outcomes) == {"hit_local"}
    assert kit.calls == before


def test_only_if_cached_takes_a_near_question(chain: Any, kit: Kit) -> None:
    answer = chain.invoke(ASKED)
    with cache_control(only_if_cached=True):
        assert chain.invoke("Where is the head office located?") == answer
        with pytest.raises(NotCachedError):
            chain.invoke("Who founded the company?")
        with pytest.raises(NotCachedError):
            list(chain.stream("Who founded the company?"))
    assert kit.calls == 1


def test_tenants_do_not_see_each_other(chain: Any, ask: Any) -> None:
    for expected in ("miss", "hit_local"):
        for given in TENANTS:
            with cache_control(**given), observe() as seen:
                ask(chain)
            assert seen.outcomes[0] == expected, given


def test_tenants_do_not_share_by_meaning(chain: Any) -> None:
    near = "Where is the head office located?"
    with cache_control(tenant="a"):
        chain.invoke(ASKED)
    with observe() as seen:
        for given in (TENANTS[1], TENANTS[2], TENANTS[0]):
            with cache_control(**given):
                chain.invoke(near)
    assert seen.outcomes == ["miss", "miss", "hit_semantic"]


def test_ttl_and_tags_are_stored(chain: Any, ask: Any, kit: Kit) -> None:
    with cache_control(ttl=77, tags=["doc:42"], documents=["d1"]), cache_control(tags=["more"]):
        ask(chain)
    with redis.Redis.from_url(kit.redis_url) as client:
        (exact,) = client.scan_iter(f"aegis:v1:{kit.namespace}:x:*")
        assert 70 < client.ttl(exact) <= 77
        (near,) = client.scan_iter(f"aegis:v1:{kit.namespace}:s:*")
        assert 70 < client.ttl(near) <= 77
        assert client.hget(near, "tags") == b"doc:42\x1fmore"
        assert client.hget(near, "documents") == b"d1"


def test_a_ttl_that_is_over(chain: Any, ask: Any, kit: Kit) -> None:
    with cache_control(ttl=0.001):
        ask(chain)
    with redis.Redis.from_url(kit.redis_url) as client:
        while list(client.scan_iter(f"aegis:v1:{kit.namespace}:[xs]:*")):
            client.dbsize()  # expired keys go when they are looked at
    with observe() as seen:
        ask(chain)
    assert seen.outcomes[0] == "miss"


def test_a_batch_in_threads(kit: Kit) -> None:
    stock = rag_chain(kit.stock(), fixed(SHOP), PROMPTS["context first"])
    chain = rag_chain(kit.aegis(), fixed(SHOP), PROMPTS["context first"])
    right = [stock.invoke(question) for question in QUESTIONS]
    before = kit.calls
    with observe() as seen, cache_control(tenant="batch"):
        assert chain.batch(list(QUESTIONS) * 3, config={"max_concurrency": 8}) == right * 3
    assert kit.calls == before + len(QUESTIONS)
    assert len(seen) == 3 * len(QUESTIONS)
    assert seen.outcomes.count("miss") == len(QUESTIONS)
    with observe() as seen:
        chain.batch(list(QUESTIONS)[:2])
    assert seen.outcomes == ["miss", "miss"]  # another tenant


async def test_an_awaited_batch(kit: Kit) -> None:
    chain = rag_chain(kit.aegis(), fixed(SHOP), PROMPTS["context first"])
    with observe() as seen:
        answers = await chain.abatch(list(QUESTIONS) * 3)
    assert answers[:20] == answers[20:40] == answers[40:]
    assert kit.calls == len(QUESTIONS)
    assert seen.outcomes.count("miss") == len(QUESTIONS)


def test_a_plain_thread_has_a_context_of_its_own(chain: Any) -> None:
    with observe() as seen, ThreadPoolExecutor() as pool:
        pool.submit(chain.invoke, ASKED).result()
    assert list(seen) == []  # as with every context variable: copy_context() takes it along


@pytest.mark.parametrize(
    "given", [{"ttl": 0}, {"ttl": "1"}, {"tenant": ""}, {"bypass": 1}, {"tags": "one"}]
)
def test_control_that_makes_no_sense(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError), cache_control(**given):
        pass
