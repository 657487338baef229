"""Chat engines over an index, with `Settings.llm` swapped and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from llama_index.core import Settings

from aegis_llm import observe
from tests.llama_index.kit import FACTS, Kit

TALK = ("How long does shipping take?", "And what happens when a kettle breaks?")
MODES = pytest.mark.parametrize("mode", ["simple", "context", "condense_plus_context"])
Way = Callable[..., Awaitable[str]]


async def chat(engine: Any, text: str) -> str:
    return str(await asyncio.to_thread(engine.chat, text))


async def achat(engine: Any, text: str) -> str:
    return str(await engine.achat(text))


async def stream_chat(engine: Any, text: str) -> str:
    def read() -> str:
        response = engine.stream_chat(text)
        said = "".join(response.response_gen)
        if response.write_response_to_history_thread is not None:
            response.write_response_to_history_thread.join()
        return said

    return await asyncio.to_thread(read)


async def astream_chat(engine: Any, text: str) -> str:
    response = await engine.astream_chat(text)
    said = "".join([part async for part in response.async_response_gen()])
    for task in response.awrite_response_to_history_task, response._ensure_async_setup():
        if isinstance(task, asyncio.Task):
            await task
    return said


WAYS: dict[str, Way] = {way.__name__: way for way in (chat, achat, stream_chat, astream_chat)}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


async def talk(kit: Kit, way: Way, mode: str, facts: tuple[str, ...] = FACTS) -> list[str]:
    """Have a conversation with a fresh engine, as another user would."""
    async with engine_of(kit, mode, facts) as engine:
        return [await way(engine, text) for text in TALK]


@asynccontextmanager
async def engine_of(kit: Kit, mode: str, facts: tuple[str, ...] = FACTS) -> AsyncIterator[Any]:
    """Lend a chat engine and close the database of its memory, which LlamaIndex leaves open."""
    engine: Any = kit.index(facts).as_chat_engine(chat_mode=mode)
    yield engine
    database = engine._memory.sql_store._async_engine
    if database is not None:
        await database.dispose()


@MODES
@EVERY_WAY
async def test_swapping_the_model_line_keeps_the_conversation(
    kit: Kit, way: Way, mode: str
) -> None:
    Settings.embed_model = kit.embed_model
    async with kit.awaited_stock() as plain:
        Settings.llm = plain
        expected = await talk(kit, way, mode)
    stock_calls = kit.calls
    Settings.llm = kit.aegis()
    with observe() as first:
        assert await talk(kit, way, mode) == expected
    assert kit.calls == 2 * stock_calls
    assert [o for o in first.outcomes if o != "miss"] == []
    with observe() as again:
        assert await talk(kit, way, mode) == expected
    assert kit.calls == 2 * stock_calls
    assert again.outcomes == ["hit_local"] * len(first)


@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
@EVERY_WAY
async def test_another_context_never_hits(kit: Kit, way: Way, mode: str) -> None:
    Settings.embed_model = kit.embed_model
    Settings.llm = kit.aegis()
    changed = tuple(fact.replace("5 days", "9 days") for fact in FACTS)
    await talk(kit, way, mode)
    with observe() as seen:
        await talk(kit, way, mode, changed)
    assert seen.outcomes[0] == "miss"
    assert "9 days" in str(kit.body["messages"])


@pytest.mark.parametrize("mode", ["simple", "context", "condense_plus_context"])
@EVERY_WAY
async def test_reworded_hits_look_alike_does_not(kit: Kit, way: Way, mode: str) -> None:
    Settings.embed_model = kit.embed_model
    Settings.llm = kit.aegis()
    asked = (
        "What happens when a kettle breaks?",
        "What happens if a kettle breaks?",
        "What happens when a kettle does not break?",
    )
    with observe() as seen:
        for question in asked:
            async with engine_of(kit, mode) as engine:
                await way(engine, question)
    assert seen.outcomes == ["miss", "hit_semantic", "miss"]


@EVERY_WAY
async def test_another_history_never_hits(kit: Kit, way: Way) -> None:
    Settings.embed_model = kit.embed_model
    Settings.llm = kit.aegis()
    outcomes = []
    for opening in ("My name is Ada.", "My name is Bob.", "My name is Ada."):
        async with engine_of(kit, "simple") as engine:
            await way(engine, opening)
            with observe() as seen:
                await way(engine, "What is my name?")
        outcomes += seen.outcomes
    assert outcomes == ["miss", "miss", "hit_local"]
