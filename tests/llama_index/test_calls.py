"""AegisOllama answers as Ollama does, in every way to call it, and repeats from the cache."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock

from aegis_llm import NotCachedError, cache_control, observe
from tests.llama_index.kit import Kit, ask, origin, outcome
from tests.llama_index.ways import WAYS, Way, text_of

QUESTION = "What is the capital of France?"
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EVERY_WAY
async def test_a_repeat_is_a_hit_and_reads_as_the_stock_answer(kit: Kit, way: Way) -> None:
    async with kit.awaited_stock() as plain:
        stock = await way(plain, QUESTION)
    llm = kit.aegis()
    first, second = await way(llm, QUESTION), await way(llm, QUESTION)
    assert (outcome(first), outcome(second)) == ("miss", "hit_local")
    assert text_of(stock) == text_of(first) == text_of(second)
    assert type(stock) is type(first) is type(second)
    assert kit.calls == 2


@EVERY_WAY
async def test_what_one_way_stored_every_way_is_served(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    first = await way(llm, QUESTION)
    for other in WAYS.values():
        again = await other(llm, QUESTION)
        assert outcome(again) == "hit_local"
        assert text_of(again) == text_of(first)
    assert kit.calls == 1


@EVERY_WAY
async def test_a_new_process_finds_the_entry_in_redis(kit: Kit, way: Way) -> None:
    await way(kit.aegis(), QUESTION)
    kit.forget()
    again = await way(kit.aegis(), QUESTION)
    assert outcome(again) == "hit_exact"
    assert origin(again)["saved_tokens"] > 0
    assert kit.calls == 1


@EVERY_WAY
async def test_a_reworded_question_hits_and_a_look_alike_does_not(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    first = await way(llm, "What happens when the kettle is empty?")
    again = await way(llm, "What happens if the kettle is empty?")
    assert outcome(again) == "hit_semantic"
    assert origin(again)["matched_question"] == "What happens when the kettle is empty?"
    assert text_of(again) == text_of(first)
    other = await way(llm, "What happens when the kettle is not empty?")
    assert outcome(other) == "miss"
    assert kit.calls == 2


def test_a_hit_has_the_stock_shape_and_counts_no_tokens(kit: Kit) -> None:
    stock = kit.stock().chat(ask(QUESTION))
    llm = kit.aegis()
    miss, hit = llm.chat(ask(QUESTION)), llm.chat(ask(QUESTION))
    assert list(hit.raw) == list(stock.raw) == list(miss.raw)
    assert hit.raw["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert hit.raw["prompt_eval_count"] == hit.raw["eval_count"] == hit.raw["total_duration"] == 0
    assert hit.raw["model"] == stock.raw["model"]
    assert hit.raw["done_reason"] == "stop"
    assert origin(hit)["saved_tokens"] == stock.raw["usage"]["total_tokens"]
    assert hit.message == stock.message == miss.message
    assert type(hit.raw["message"]) is type(stock.raw["message"])


@pytest.mark.parametrize("model", ["llama3.1:8b", "qwen3:8b"])
def test_a_streamed_hit_has_the_stock_shape(kit: Kit, model: str) -> None:
    stock = list(kit.stock(model=model).stream_chat(ask(QUESTION)))
    llm = kit.aegis(model=model)
    missed, hit = list(llm.stream_chat(ask(QUESTION))), list(llm.stream_chat(ask(QUESTION)))
    assert outcome(hit[-1]) == "hit_local"
    for chunks in (missed, hit):
        assert chunks[-1].message == stock[-1].message
        for part in ("content", "thinking"):
            said = ["".join(c.raw["message"].get(part) or "" for c in s) for s in (stock, chunks)]
            assert said[0] == said[1]
        thought = "".join(c.additional_kwargs["thinking_delta"] or "" for c in chunks)
        assert thought == "".join(c.additional_kwargs["thinking_delta"] or "" for c in stock)
        assert list(chunks[0].raw) == list(stock[0].raw)
        assert list(chunks[-1].raw) == list(stock[-1].raw)
        assert [c.raw["done"] for c in chunks].count(True) == 1
    text = ""
    for chunk in hit:
        text += chunk.delta
        assert (chunk.message.content or "") == text


def test_thinking_is_kept(kit: Kit) -> None:
    llm = kit.aegis(model="qwen3:8b", thinking=True)
    miss, hit = llm.chat(ask(QUESTION)), llm.chat(ask(QUESTION))
    assert outcome(hit) == "hit_local"
    assert [b.block_type for b in hit.message.blocks] == ["thinking", "text"]
    assert hit.message == miss.message
    assert outcome(kit.aegis(model="qwen3:8b", thinking=False).chat(ask(QUESTION))) == "miss"


def test_the_first_chunk_does_not_wait_for_the_rest(kit: Kit) -> None:
    llm = kit.aegis()
    kit.ollama.faults.hang(after=1)
    chunks = llm.stream_chat(ask(QUESTION))
    assert next(chunks).delta
    kit.ollama.faults.release()
    assert len(list(chunks)) > 1


@EVERY_WAY
async def test_editing_an_answer_does_not_spoil_the_next(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    for _ in range(3):
        got = await way(llm, QUESTION)
        text = text_of(got)
        assert "Paris is mine" not in text
        got.additional_kwargs["aegis"]["outcome"] = "Paris is mine"
        got.raw["model"] = "Paris is mine"
        got.raw["message"].content = "Paris is mine"
        if hasattr(got, "message"):
            got.message.blocks[-1].text = "Paris is mine"
            got.message.additional_kwargs["x"] = "Paris is mine"


async def test_settings_that_change_the_answer_are_not_mixed(kit: Kit) -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"model": "mistral:7b"},
        {"temperature": 0.0},
        {"temperature": 0.5},
        {"context_window": 2048},
        {"json_mode": True},
        {"thinking": False},
        {"additional_kwargs": {"seed": 7}},
        {"additional_kwargs": {"stop": ["END"]}},
    ]
    seen = [
        outcome(kit.aegis(normalise_options=False, **v).chat(ask('What is "x"?')))
        for v in variants
    ]
    assert seen == ["miss"] * len(variants)
    seen = [
        outcome(kit.aegis(normalise_options=False, **v).chat(ask('What is "x"?')))
        for v in variants
    ]
    assert seen == ["hit_local"] * len(variants)


async def test_settings_that_do_not_change_it_are_shared(kit: Kit) -> None:
    kit.aegis().chat(ask(QUESTION))
    for given in ({"keep_alive": "1h"}, {"request_timeout": 99.0}, {"headers": {"x-a": "b"}}):
        assert outcome(kit.aegis(**given).chat(ask(QUESTION))) == "hit_local"
    assert outcome(kit.aegis().chat(ask(QUESTION), unknown_to_ollama=1)) == "hit_local"


def test_images_are_told_apart(kit: Kit) -> None:
    llm = kit.aegis(model="llava:7b")

    def look(image: bytes) -> str:
        blocks = [TextBlock(text="What is on it?"), ImageBlock(image=image)]
        return outcome(llm.chat([ChatMessage(role="user", blocks=blocks)]))

    assert [look(b"one"), look(b"two"), look(b"one")] == ["miss", "miss", "hit_local"]


def test_an_image_is_read_once(kit: Kit, tmp_path: Any) -> None:
    reads = []

    class Counting(ImageBlock):
        def resolve_image(self, as_base64: bool = False) -> Any:
            reads.append(1)
            return super().resolve_image(as_base64)

    path = tmp_path / "dot.png"
    path.write_bytes(b"not really a picture")
    message = ChatMessage(role="user")
    message.blocks = [TextBlock(text="What?"), Counting(path=path, image_mimetype="image/png")]
    kit.aegis(model="llava:7b").chat([message])
    assert len(reads) == 1


@EVERY_WAY
async def test_cache_control_holds_in_every_way(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError):
        await way(llm, QUESTION)
    with cache_control(tenant="a"):
        assert outcome(await way(llm, QUESTION)) == "miss"
    assert outcome(await way(llm, QUESTION)) == "miss"
    with cache_control(bypass=True):
        assert outcome(await way(llm, QUESTION)) == "bypass"
    with cache_control(refresh=True), observe() as seen:
        assert outcome(await way(llm, QUESTION)) == "miss"
    assert seen.outcomes == ["miss"]
    with observe() as seen:
        await way(llm, QUESTION)
    assert seen.outcomes == ["hit_local"]


async def test_a_stream_keeps_to_the_block_that_asked_for_it(kit: Kit) -> None:
    llm = kit.aegis()
    for expected in ("miss", "hit_local"):
        with cache_control(tenant="a"), observe() as seen:
            chunks = llm.stream_chat(ask(QUESTION))
            awaited = await llm.astream_chat(ask("How long is the Nile?"))
        with cache_control(tenant="b"), observe() as elsewhere:
            last = await asyncio.to_thread(lambda c=chunks: list(c)[-1])
            last_awaited = [chunk async for chunk in awaited][-1]
        assert (outcome(last), outcome(last_awaited)) == (expected, expected)
        assert (seen.outcomes, list(elsewhere)) == ([expected, expected], [])
    with cache_control(tenant="b"):
        assert outcome(llm.chat(ask(QUESTION))) == "miss"
