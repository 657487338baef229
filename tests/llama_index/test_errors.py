"""What goes wrong looks as it would without the package, and is never kept."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import ollama
import pytest
from llama_index.core.llms import ChatMessage, TextBlock, VideoBlock

from tests.llama_index.kit import Kit, ask, origin, outcome
from tests.llama_index.ways import WAYS, Way, text_of

QUESTION = "What is the capital of France?"
CHATS = {name: way for name, way in WAYS.items() if "chat" in name}
EVERY_WAY = pytest.mark.parametrize("way", CHATS.values(), ids=CHATS)
STREAMS = pytest.mark.parametrize("way", [w for n, w in CHATS.items() if "stream" in n])


async def error_of(way: Way, llm: Any, text: str = QUESTION) -> tuple[type[BaseException], str]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - compared with the stock one
        await way(llm, text)
    return caught.type, str(caught.value)


@EVERY_WAY
async def test_a_model_that_does_not_exist(kit: Kit, way: Way) -> None:
    async with kit.awaited_stock(model="absent", context_window=512) as plain:
        stock = await error_of(way, plain)
    llm = kit.aegis(model="absent")
    assert await error_of(way, llm) == await error_of(way, llm) == stock
    assert stock[0] is ollama.ResponseError
    assert "404" in stock[1]
    assert kit.calls == 3


@EVERY_WAY
async def test_an_ollama_that_is_down(kit: Kit, way: Way) -> None:
    async with kit.awaited_stock(base_url="http://127.0.0.1:1", context_window=512) as plain:
        stock = await error_of(way, plain)
    llm = kit.aegis(base_url="http://127.0.0.1:1", warm=False)
    assert await error_of(way, llm) == stock


@EVERY_WAY
async def test_a_hit_needs_no_ollama(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    await way(llm, QUESTION)
    kit.ollama.faults.status(500, n=3)
    assert outcome(await way(llm, QUESTION)) == "hit_local"
    kit.ollama.faults.clear()


@EVERY_WAY
async def test_an_error_status_passes_and_is_not_kept(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    for status, tries in ((400, 1), (404, 1), (500, 1), (503, 3)):
        kit.ollama.faults.status(status, {"error": "no luck"}, n=tries)
        kind, text = await error_of(way, llm)
        assert kind is ollama.ResponseError
        assert text == f"no luck (status code: {status})"
        assert not kit.ollama.faults.pending
    assert outcome(await way(llm, QUESTION)) == "miss"


@STREAMS
async def test_a_stream_that_breaks_is_not_kept(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    kit.ollama.faults.midstream_error("out of memory", after=2)
    kind, text = await error_of(way, llm)
    assert kind is ollama.ResponseError
    assert "out of memory" in text
    kit.ollama.faults.reset(after=2)
    assert issubclass((await error_of(way, llm))[0], httpx.TransportError)
    assert outcome(await way(llm, QUESTION)) == "miss"


@STREAMS
async def test_a_stream_without_its_end_is_served_and_not_kept(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    kit.ollama.faults.no_done(after=2)
    cut = text_of(await way(llm, QUESTION))
    again = await way(llm, QUESTION)
    assert outcome(again) == "miss"
    assert len(cut) < len(text_of(again))


@EVERY_WAY
async def test_an_answer_cut_by_num_predict_is_served_and_not_kept(kit: Kit, way: Way) -> None:
    llm = kit.aegis(additional_kwargs={"num_predict": 2})
    for _ in range(2):
        answer = await way(llm, QUESTION)
        assert outcome(answer) == "miss"
        assert answer.raw["done_reason"] == "length"
    assert kit.calls == 2


@EVERY_WAY
async def test_an_empty_answer_is_served_and_not_kept(kit: Kit, way: Way) -> None:
    llm = kit.aegis()
    kit.ollama.faults.empty()
    assert text_of(await way(llm, QUESTION)) == ""
    assert outcome(await way(llm, QUESTION)) == "miss"


@EVERY_WAY
async def test_the_request_timeout_is_kept(kit: Kit, way: Way) -> None:
    llm = kit.aegis(request_timeout=0.2)
    kit.ollama.faults.hang(path="/api/chat")
    assert (await error_of(way, llm))[0] is httpx.ReadTimeout
    kit.ollama.faults.release()
    assert outcome(await way(llm, QUESTION)) == "miss"


@pytest.mark.parametrize("way", [CHATS["chat"], CHATS["astream_chat"]])
@pytest.mark.parametrize(
    "text", ["", " ", "nul \0 nul", "x" * 1_000_000, "\u202eevil\U0001f600", "{json}"],
    ids=["empty", "blank", "nul", "1 MB", "unicode", "braces"],
)  # fmt: skip
async def test_odd_texts_are_answered_as_by_the_stock_model(kit: Kit, way: Way, text: str) -> None:
    async with kit.awaited_stock(context_window=512) as plain:
        expected = text_of(await way(plain, text))
    llm = kit.aegis(context_window=512)
    assert text_of(await way(llm, text)) == expected
    assert text_of(await way(llm, text)) == expected


@EVERY_WAY
async def test_text_that_cannot_be_sent(kit: Kit, way: Way) -> None:
    async with kit.awaited_stock(context_window=512) as plain:
        stock = await error_of(way, plain, "broken \ud800")
    ours = await error_of(way, kit.aegis(context_window=512), "broken \ud800")
    assert ours[0] is stock[0] is UnicodeEncodeError
    assert kit.calls == 0


async def test_messages_that_cannot_be_converted(kit: Kit) -> None:
    message = ChatMessage(role="user", blocks=[TextBlock(text="?"), VideoBlock(video=b"x")])
    errors = []
    for llm in (kit.stock(context_window=512), kit.aegis()):
        with pytest.raises(ValueError, match="Unsupported block type") as caught:
            llm.chat([message])
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


async def test_no_messages(kit: Kit) -> None:
    stock = kit.stock(context_window=512).chat([])
    llm = kit.aegis(context_window=512)
    assert llm.chat([]).message.content == stock.message.content
    assert outcome(llm.chat([])) in ("hit_local", "miss", "bypass")


async def test_what_has_no_key_is_not_cached(kit: Kit) -> None:
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    llm = kit.aegis()
    for _ in range(2):
        response = await asyncio.to_thread(llm.chat, ask(QUESTION), tools=[weather])
        assert origin(response)["outcome"] == "bypass"
    assert kit.calls == 2
