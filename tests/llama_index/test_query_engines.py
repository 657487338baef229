"""A VectorStoreIndex query engine, with `Settings.llm` swapped and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.llms import LLM

from aegis_llm import cache_control, observe
from tests.llama_index.kit import FACTS, Kit

QUESTION = "What happens when a kettle breaks?"
REWORDED = "What happens if a kettle breaks?"
LOOK_ALIKE = "What happens when a kettle does not break?"
Way = Callable[..., Awaitable[str]]


async def query(index: VectorStoreIndex, question: str, **given: Any) -> str:
    return str(await asyncio.to_thread(index.as_query_engine(**given).query, question))


async def aquery(index: VectorStoreIndex, question: str, **given: Any) -> str:
    return str(await index.as_query_engine(**given).aquery(question))


async def stream(index: VectorStoreIndex, question: str, **given: Any) -> str:
    def read() -> str:
        response = index.as_query_engine(streaming=True, **given).query(question)
        return "".join(response.response_gen)  # type: ignore[union-attr]

    return await asyncio.to_thread(read)


async def astream(index: VectorStoreIndex, question: str, **given: Any) -> str:
    response: Any = await index.as_query_engine(streaming=True, **given).aquery(question)
    return "".join([part async for part in response.async_response_gen()])


WAYS: dict[str, Way] = {way.__name__: way for way in (query, aquery, stream, astream)}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def use(llm: LLM, kit: Kit) -> None:
    """Do what a user does: set the model, and nothing else."""
    Settings.llm = llm
    Settings.embed_model = kit.embed_model


@EVERY_WAY
async def test_swapping_the_model_line_keeps_the_answers_and_saves_the_calls(
    kit: Kit, way: Way
) -> None:
    index = kit.index()
    async with kit.awaited_stock() as plain:
        use(plain, kit)
        expected = await way(index, QUESTION)
    use(kit.aegis(), kit)
    with observe() as seen:
        answers = [await way(index, QUESTION) for _ in range(3)]
    assert answers == [expected] * 3
    assert seen.outcomes == ["miss", "hit_local", "hit_local"]
    assert kit.calls == 2


@EVERY_WAY
async def test_reworded_hits_look_alike_does_not(kit: Kit, way: Way) -> None:
    use(kit.aegis(), kit)
    index = kit.index()
    with observe() as seen:
        first = await way(index, QUESTION)
        assert await way(index, REWORDED) == first
        await way(index, LOOK_ALIKE)
    assert seen.outcomes == ["miss", "hit_semantic", "miss"]
    assert seen[1].matched_question == QUESTION


@EVERY_WAY
async def test_another_context_never_hits(kit: Kit, way: Way) -> None:
    use(kit.aegis(), kit)
    changed = tuple(fact.replace("24 months", "36 months") for fact in FACTS)
    with observe() as seen:
        before = await way(kit.index(), QUESTION)
        after = await way(kit.index(changed), QUESTION)
    assert seen.outcomes == ["miss", "miss"]
    assert before != after


async def test_every_way_serves_what_another_stored(kit: Kit) -> None:
    use(kit.aegis(), kit)
    index = kit.index()
    first = await query(index, QUESTION)
    with observe() as seen:
        assert [await way(index, QUESTION) for way in WAYS.values()] == [first] * 4
    assert seen.outcomes == ["hit_local"] * 4


@pytest.mark.parametrize(
    ("way", "mode"),
    [
        (way, mode)
        for way in WAYS.values()
        for mode in ("compact", "refine", "tree_summarize", "simple_summarize", "accumulate")
        if way in (query, aquery) or mode != "accumulate"  # LlamaIndex does not stream that one
    ],
)
async def test_every_response_mode_repeats_from_the_cache(kit: Kit, way: Way, mode: str) -> None:
    use(kit.aegis(), kit)
    index = kit.index()
    with observe() as first:
        answer = await way(index, QUESTION, response_mode=mode)
    with observe() as again:
        assert await way(index, QUESTION, response_mode=mode) == answer
    assert first.outcomes[0] == "miss"
    assert [o.startswith("hit") for o in again.outcomes] == [True] * len(first)


@EVERY_WAY
async def test_a_new_process_is_served_from_redis(kit: Kit, way: Way) -> None:
    use(kit.aegis(), kit)
    first = await way(kit.index(), QUESTION)
    kit.forget()
    use(kit.aegis(), kit)
    with observe() as seen:
        assert await way(kit.index(), REWORDED) == first
        assert await way(kit.index(), QUESTION) == first
    assert seen.outcomes == ["hit_semantic", "hit_exact"]
    assert kit.calls == 1


async def test_repeats_and_hits_ask_show_no_more(kit: Kit) -> None:
    index = kit.index()
    for _ in range(2):
        use(kit.aegis(), kit)
        for way in WAYS.values():
            for question in (QUESTION, QUESTION, REWORDED, "How long is shipping?"):
                await way(index, question)
    assert kit.shows == 1
    use(kit.aegis(context_window=4096), kit)
    await query(index, QUESTION)
    assert kit.shows == 1


@EVERY_WAY
async def test_tenants_are_apart(kit: Kit, way: Way) -> None:
    use(kit.aegis(), kit)
    index = kit.index()
    with observe() as seen:
        for tenant in ("a", "b", "a"):
            with cache_control(tenant=tenant):
                await way(index, QUESTION)
    assert seen.outcomes == ["miss", "miss", "hit_local"]


def test_redis_going_away_costs_no_answer(kit: Kit) -> None:
    use(kit.aegis(redis_url="redis://127.0.0.1:1"), kit)
    engine = kit.index().as_query_engine()
    with observe() as seen:
        assert str(engine.query(QUESTION)) == str(engine.query(QUESTION))
    assert seen[0].outcome == "miss"
    assert seen[0].reason.startswith("redis")
