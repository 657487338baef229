"""What a bad entry, a long stream, a changed setting or a fork does to AegisOllama: no harm."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Generator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import ollama
import pytest
from llama_index.core import PromptTemplate
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseGen,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from pydantic import BaseModel, Field, ValidationError

from aegis_llm import ConfigError, NotCachedError, cache_control, observe
from aegis_llm.quiet import Quiet
from aegis_llm.values import ToolCall
from llama_index.llms.aegis import _chunks, _convert, _turn
from llama_index.llms.aegis._chunks import Growing, answers_of_records, recorded
from llama_index.llms.aegis._embedder import LlamaIndexEmbedder
from llama_index.llms.aegis._window import Windows
from tests.llama_index.kit import MODEL, Kit, MiniLMEmbedding, ask, origin, outcome, warm_up
from tests.llama_index.ways import WAYS, Way, text_of

QUESTION = "What is the capital of France?"
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EVERY_WAY
async def test_an_entry_that_cannot_be_read_costs_no_answer(
    kit: Kit, way: Way, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        msg = "not what a model says"
        raise ValueError(msg)

    llm = kit.aegis()
    first = await way(llm, QUESTION)
    for module in (_convert, _chunks):
        monkeypatch.setattr(module, "raw_of", refuse)
    monkeypatch.setattr(_turn, "_quiet", Quiet())
    with observe() as seen:
        for _ in range(2):
            again = await way(llm, QUESTION)
            assert text_of(again) == text_of(first)
            assert (outcome(again), origin(again)["reason"]) == ("bypass", "unreadable_entry")
            assert origin(again)["saved_tokens"] == 0
    assert seen.outcomes == ["bypass", "bypass"]
    assert kit.calls == 3
    assert caplog.text.count("a cached answer is not usable") == 1
    with cache_control(only_if_cached=True), pytest.raises(NotCachedError):
        await way(llm, QUESTION)


def streamed(count: int, word: str = "word ") -> ChatResponseGen:
    """Yield chunks as LlamaIndex's Ollama makes them."""
    text = thinking = ""
    for n in range(count):
        thought = "hm " if n == 0 else None
        thinking += thought or ""
        text += word
        blocks: list[Any] = [ThinkingBlock(content=thinking), TextBlock(text=text)]
        if n > 1:
            blocks.append(ToolCallBlock(tool_name="f", tool_kwargs={"x": [1]}))
        message: dict[str, Any] = {"role": "assistant", "content": word, "thinking": thought}
        if n == 2:
            message["tool_calls"] = [{"function": {"name": "f", "arguments": {"x": [1]}}}]
        yield ChatResponse(
            message=ChatMessage(role="assistant", blocks=blocks),
            delta=word,
            raw={"message": message, "done": n == count - 1},
            additional_kwargs={"thinking_delta": thought},
        )


def test_a_reader_sees_the_chunks_that_were_recorded() -> None:
    records = list(recorded(_generator(streamed(6))))
    for _ in range(2):
        growing = Growing()
        seen = [growing.chunk(record) for record in records]
        assert seen == list(streamed(6))
        for chunk in seen:
            chunk.message.blocks[-1] = TextBlock(text="spoilt")
            chunk.raw["message"]["content"] = "spoilt"  # type: ignore[index]
    (answer,) = answers_of_records(records)
    assert (answer.text, answer.thinking) == ("word " * 6, "hm ")
    assert answer.tool_calls == (ToolCall("f", {"x": [1]}),)
    assert answers_of_records(records[:-1]) == []


def test_a_long_stream_is_kept_in_little_memory() -> None:
    many, word = 2000, "x" * 50
    tracemalloc.start()
    try:
        records = list(recorded(_generator(streamed(many, word))))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(records) == many
    assert held < 20_000_000, "the text so far is kept with every chunk: 100 MB"


def _generator(chunks: Any) -> Generator[ChatResponse, None, None]:
    yield from chunks


def test_a_changed_setting_holds_from_then_on(kit: Kit) -> None:
    llm = kit.aegis()
    llm.chat(ask(QUESTION))
    other = llm.model_copy(update={"namespace": f"{kit.namespace}-2"})
    kit._open.append(other)
    warm_up(other)
    assert outcome(other.chat(ask(QUESTION))) == "miss"
    assert outcome(llm.chat(ask(QUESTION))) == "hit_local"
    llm.namespace = f"{kit.namespace}-2"
    assert outcome(llm.chat(ask(QUESTION))) == "hit_local"
    assert kit.calls == 2
    with pytest.raises(ConfigError, match="namespace 'a b'"):
        llm.namespace = "a b"
    assert llm.namespace == f"{kit.namespace}-2"


def test_another_base_url_is_spoken_to(kit: Kit) -> None:
    llm = kit.aegis()
    llm.chat(ask(QUESTION))
    client = llm.client
    llm.base_url = "http://127.0.0.1:1"
    client.close()  # type: ignore[no-untyped-call]
    with pytest.raises(ConnectionError), cache_control(bypass=True):
        llm.chat(ask(QUESTION))
    assert llm.server(awaited=False).startswith("http://127.0.0.1:1@")


class City(BaseModel):
    name: str


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_cached_answer_that_does_not_fit_is_asked_for_anew(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, awaited: bool
) -> None:
    answers = iter(['{"nam": "Rome"}', '{"name": "Rome"}', '{"nam": "Oslo"}'])

    def say(*_: Any, **__: Any) -> Any:
        message = ollama.Message(role="assistant", content=next(answers))
        return ollama.ChatResponse(model=MODEL, done=True, done_reason="stop", message=message)

    async def asay(*_: Any, **__: Any) -> Any:
        return say()

    llm = kit.aegis()
    client = llm.async_client if awaited else llm.client
    monkeypatch.setattr(client, "chat", asay if awaited else say, raising=False)
    prompt = PromptTemplate("Which city?")

    async def predict() -> Any:
        if awaited:
            return await llm.astructured_predict(City, prompt)
        return await asyncio.to_thread(llm.structured_predict, City, prompt)

    with pytest.raises(ValidationError):
        await predict()
    assert (await predict()).name == "Rome"
    assert (await predict()).name == "Rome"
    assert next(answers)


def test_windows_are_asked_for_anew_in_a_child() -> None:
    windows = Windows()
    windows._asking["server", "model"] = Future()
    windows._lock.acquire()
    windows.renew()
    shown = SimpleNamespace(modelinfo={}, parameters="num_ctx 512")
    assert windows.get(("server", "model"), lambda: shown) == 512


def test_two_settings_of_an_embedder_are_two_embedders() -> None:
    class Tuned(MiniLMEmbedding):
        prefix: str = ""
        options: dict[str, Any] = Field(default_factory=dict)
        api_key: str = ""
        base_url: str = ""
        timeout: float = 1.0

    def named(**given: Any) -> str:
        return LlamaIndexEmbedder(Tuned(**given)).embedding_id

    plain = named()
    assert len({plain, named(prefix="query: "), named(options={"n": 1})}) == 3
    assert plain == named(api_key="x", base_url="y", timeout=2.0, embed_batch_size=3, asked=4)
