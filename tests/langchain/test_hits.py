"""A hit is a message of its own: fresh id, no usage, editable, seen by callbacks."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    UsageMetadataCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler

from tests.langchain.kit import Kit, outcome
from tests.langchain.test_calls import WEATHER

ASKED = "What is the capital of France?"


class Watcher(BaseCallbackHandler):
    """Notes what a handler is told."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.chunks: list[Any] = []
        self.events: list[str] = []
        self.ends: list[LLMResult] = []
        self.errors: list[BaseException] = []

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.events.append("start")

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        self.tokens.append(token)
        self.chunks.append(chunk)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.events.append("end")
        self.ends.append(response)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        self.errors.append(error)


class AsyncWatcher(AsyncCallbackHandler):
    """Like `Watcher`, awaited."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.ends: list[LLMResult] = []

    async def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens.append(token)

    async def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.ends.append(response)


class V2Watcher(BaseCallbackHandler, _V2StreamingCallbackHandler):
    """Asks for v2 stream events, as LangGraph does."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_stream_event(self, event: Any, **_: Any) -> None:
        self.events.append(event)


def add_messages(left: list[BaseMessage], right: list[BaseMessage]) -> list[BaseMessage]:
    """Join two lists as LangGraph does: a message with a known id replaces the earlier one."""
    merged = list(left)
    for message in right:
        places = [i for i, known in enumerate(merged) if known.id == message.id]
        if places:
            merged[places[0]] = message
        else:
            merged.append(message)
    return merged


def test_two_hits_do_not_replace_each_other_in_a_graph(kit: Kit) -> None:
    model = kit.aegis()
    state: list[BaseMessage] = []
    for number in range(3):
        state = add_messages(state, [HumanMessage(ASKED, id=f"h{number}")])
        state = add_messages(state, [model.invoke(ASKED)])
    for chunks in (list(model.stream(ASKED)), list(model.stream(ASKED))):
        assert len({chunk.id for chunk in chunks}) == 1
        state = add_messages(state, [chunks[0]])
    assert len(state) == 8
    assert all(message.id for message in state)


@pytest.mark.parametrize("local", [0, 1 << 20], ids=["redis", "local"])
def test_an_edited_message_does_not_spoil_the_next_hit(kit: Kit, local: int) -> None:
    model = kit.aegis(local_max_bytes=local).bind_tools([WEATHER])
    asked = "What is the weather in Paris?"
    clean = spoil(model.invoke(asked))
    for _ in range(3):
        assert spoil(model.invoke(asked)) == clean
        chunks = list(model.stream(asked))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        assert spoil(whole) == clean
        for chunk in chunks:
            spoil(chunk)
    assert kit.calls == 1


def spoil(message: Any) -> Any:
    """Return what counts of a message, then change everything in it."""
    clean = (message.text, [(c["name"], dict(c["args"])) for c in message.tool_calls])
    message.content = "spoiled"
    for call in message.tool_calls:
        call["name"] = "spoiled"
        call["args"].clear()
        call["args"]["spoiled"] = True
    message.tool_calls.append({"name": "spoiled", "args": {}, "id": "0", "type": "tool_call"})
    message.response_metadata["aegis"] = "spoiled"
    message.response_metadata["done_reason"] = "length"
    message.additional_kwargs["spoiled"] = True
    if message.usage_metadata:
        message.usage_metadata["input_tokens"] = -1
    return clean


def test_followers_of_one_stream_do_not_share_chunks(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    kit.ollama.faults.hang(after=3, path="/api/chat")
    first, second = model.stream(ASKED), model.stream(ASKED)
    words = [_take(next(first)) for _ in range(3)]
    assert [_take(next(second)) for _ in range(3)] == words
    kit.ollama.faults.release()
    rest = [_take(chunk) for chunk in first]
    assert [_take(chunk) for chunk in second] == rest
    assert "spoiled" not in "".join(words + rest)
    assert kit.calls == 1
    assert model.invoke(ASKED).text == "".join(words + rest)


def _take(chunk: Any) -> str:
    text = str(chunk.text)
    chunk.content = "spoiled"
    chunk.response_metadata["spoiled"] = True
    return text


@pytest.mark.parametrize("local", [0, 1 << 20], ids=["redis", "local"])
def test_callbacks_see_the_tokens_of_a_hit(kit: Kit, local: int) -> None:
    model = kit.aegis(local_max_bytes=local)
    answer = model.invoke(ASKED).text
    for call in (model.invoke, lambda *a, **k: list(model.stream(*a, **k))):
        watcher = Watcher()
        call(ASKED, config={"callbacks": [watcher]})
        assert "".join(watcher.tokens) == answer
        assert all(chunk is not None for chunk in watcher.chunks)
        assert watcher.events == ["start", "end"]
        assert _message(watcher.ends[0]).text == answer
    assert kit.calls == 1


async def test_awaited_callbacks_see_the_tokens_of_a_hit(kit: Kit) -> None:
    model = kit.aegis()
    answer = (await model.ainvoke(ASKED)).text

    async def drain(*args: Any, **given: Any) -> None:
        async for _ in model.astream(*args, **given):
            pass

    for call in (model.ainvoke, drain):
        watcher = AsyncWatcher()
        await call(ASKED, config={"callbacks": [watcher]})
        assert "".join(watcher.tokens) == answer
        assert len(watcher.ends) == 1
    assert kit.calls == 1


def _message(result: LLMResult) -> Any:
    (generation,) = result.generations[0]
    assert isinstance(generation, ChatGeneration)
    return generation.message


def test_v2_stream_events_are_the_same_on_a_hit(kit: Kit) -> None:
    model = kit.aegis()
    told: list[list[str]] = []
    texts: list[str] = []
    for _ in range(2):
        watcher = V2Watcher()
        model.invoke(ASKED, config={"callbacks": [watcher]})
        kinds = [event["event"] for event in watcher.events]
        told.append(list(dict.fromkeys(kinds)))
        deltas = [e["delta"] for e in watcher.events if e["event"] == "content-block-delta"]
        texts.append("".join(delta["text"] for delta in deltas))
    assert told[0] == told[1]
    assert told[0][0] == "message-start"
    assert texts[0] == texts[1] != ""
    assert kit.calls == 1


async def test_awaited_v2_stream_events_are_the_same_on_a_hit(kit: Kit) -> None:
    model = kit.aegis()
    told: list[list[str]] = []
    for _ in range(2):
        watcher = V2Watcher()
        await model.ainvoke(ASKED, config={"callbacks": [watcher]})
        told.append(list(dict.fromkeys(event["event"] for event in watcher.events)))
    assert told[0] == told[1]
    assert told[0][-1] == "message-finish"
    assert kit.calls == 1


async def test_usage_is_counted_once(kit: Kit) -> None:
    model = kit.aegis()
    first = UsageMetadataCallbackHandler()
    paid = model.invoke(ASKED, config={"callbacks": [first]}).usage_metadata
    assert first.usage_metadata == {"llama3.1:8b": paid}
    with get_usage_metadata_callback() as usage:
        model.invoke(ASKED)
        list(model.stream(ASKED))
        await model.ainvoke(ASKED)
        model.batch([ASKED, ASKED])
        assert sum(one["total_tokens"] for one in usage.usage_metadata.values()) == 0
    assert kit.calls == 1


def test_the_origin_says_what_was_saved(kit: Kit) -> None:
    model = kit.aegis()
    paid = model.invoke(ASKED)
    hit = model.invoke(ASKED)
    origin = hit.response_metadata["aegis"]
    assert origin["outcome"] == "hit_local"
    assert origin["saved_tokens"] == paid.usage_metadata["total_tokens"]
    assert origin["matched_question"] == ASKED
    assert origin["age_s"] >= 0
    assert origin["lookup_ms"] > 0
    assert len(origin["entry_id"]) == 64
    assert paid.response_metadata["aegis"]["saved_tokens"] == 0


def test_the_first_chunk_of_a_hit_comes_without_the_model(kit: Kit) -> None:
    model = kit.aegis()
    list(model.stream(ASKED))
    kit.ollama.gate.clear()  # the model would not answer
    first = next(iter(model.stream(ASKED)))
    assert first.text
    assert kit.calls == 1


def test_a_hit_may_go_into_the_next_prompt(kit: Kit) -> None:
    model = kit.aegis()
    talk = [HumanMessage("My name is Ann. Remember it, please.")]
    talk += [model.invoke(talk), HumanMessage("What is my name?")]
    first = model.invoke(talk)
    again = [talk[0], model.invoke(talk[:1]), talk[2]]
    assert again[1].id != talk[1].id
    assert outcome(again[1]) == "hit_local"
    second = model.invoke(again)
    assert outcome(second) == "hit_local"
    assert second.text == first.text


def test_ls_params_name_the_model_that_is_asked(kit: Kit) -> None:
    model = kit.aegis(temperature=0.5, stop=["x"])
    stock = kit.stock(temperature=0.5, stop=["x"])
    assert model._get_ls_params() == stock._get_ls_params()
    assert model._get_ls_params()["ls_provider"] == "ollama"
    assert model._get_ls_params(model="mistral:7b")["ls_model_name"] == "mistral:7b"
    assert model._llm_type == stock._llm_type


def test_a_message_is_an_ai_message(kit: Kit) -> None:
    model = kit.aegis()
    assert [type(model.invoke(ASKED)) for _ in range(2)] == [AIMessage, AIMessage]
