"""What AegisCache keeps: every answer comes back as it was, or is not kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_aegis._identity import kind_of, messages_of
from tests.langchain.fakes import Named
from tests.langchain.kit import Kit, outcome

LLM = "[('_type', 'x'), ('model', 'm'), ('stop', None)]"
ASKED = "What is the capital of France?"
CALL = {"name": "f", "args": {"a": [1, {"b": None}]}, "id": "call_1", "type": "tool_call"}


@pytest.fixture(params=["redis", "local", "memory"])
def cache(kit: Kit, request: pytest.FixtureRequest) -> Any:
    made: dict[str, Callable[[], Any]] = {
        "redis": lambda: kit.cache(local_max_bytes=0),
        "local": kit.cache,
        "memory": lambda: kit.cache(redis_url="memory://", local_max_bytes=0),
    }
    return made[request.param]()


def chat(content: Any = "Paris.", info: dict[str, Any] | None = None, **given: Any) -> Any:
    return ChatGeneration(message=AIMessage(content, **given), generation_info=info)


@pytest.mark.parametrize(
    "generations",
    [
        [Generation(text="Paris.")],
        [Generation(text="Paris.", generation_info={"done": True, "context": [1, 2]})],
        [Generation(text="a"), Generation(text="b", generation_info={"n": 1.5})],
        [chat()],
        [chat(info={"finish_reason": "stop"})],
        [chat(), chat("Lyon.", info={"finish_reason": "stop", "logprobs": {"x": [0.1]}})],
        [chat("", tool_calls=[CALL])],
        [chat("Wait.", tool_calls=[CALL, {**CALL, "id": "call_2", "name": "g"}])],
        [chat([{"type": "text", "text": "Paris.", "annotations": []}, "more"])],
        [chat(name="ann", additional_kwargs={"refusal": None, "x": [True]})],
        [chat(response_metadata={"model_name": "m", "é": "ü\u2028\U0001f600"})],
        [chat("é" * 5000 + "\x00\x1f")],
    ],
    ids=lambda generations: str(generations[0])[:40],
)
def test_a_round_trip(cache: Any, generations: list[Any]) -> None:
    cache.update(ASKED, LLM, generations)
    found: Any = cache.lookup(ASKED, LLM)
    assert isinstance(found, list)
    assert [plain(one) for one in found] == [plain(one) for one in generations]
    again: Any = cache.lookup(ASKED, LLM)
    assert all(a is not b for a, b in zip(found, again, strict=True))
    for one in found:
        if isinstance(one, ChatGeneration):
            assert one.message.response_metadata["aegis"]["outcome"].startswith("hit_")


def plain(generation: Any) -> dict[str, Any]:
    told = {"type": type(generation), **generation.model_dump(exclude={"message"})}
    if isinstance(generation, ChatGeneration):
        told["message"] = message = generation.message.model_dump()
        message["response_metadata"].pop("aegis", None)
        for call in message["tool_calls"]:
            call.pop("id")
        del message["id"], message["usage_metadata"]
    return told


def test_ids_of_tool_calls_stay_in_step(cache: Any) -> None:
    block = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}
    kwargs = {"tool_calls": [{"id": "call_1", "function": {"name": "f", "arguments": "{}"}}]}
    said = chat([block], tool_calls=[CALL], additional_kwargs=kwargs)
    cache.update(ASKED, LLM, [said])
    seen = set()
    for _ in range(2):
        message = cache.lookup(ASKED, LLM)[0].message
        (told,) = message.tool_calls
        assert message.content[0]["id"] == told["id"]
        assert message.additional_kwargs["tool_calls"][0]["id"] == told["id"]
        seen.add(told["id"])
    assert len(seen) == 2
    assert "call_1" not in seen


@pytest.mark.parametrize(
    "generation",
    [
        chat(response_metadata={"when": datetime.datetime(2026, 1, 1)}),
        chat(response_metadata={"price": Decimal("1.5")}),
        chat(response_metadata={"object": ...}),
        chat(response_metadata={1: "a"}),
        chat(response_metadata={"pair": (1, 2)}),
        chat(response_metadata={"bytes": b"x"}),
        chat(additional_kwargs={"nan": float("nan")}),
        chat("lone \ud800"),
        chat(info={"set": {1}}),
        Generation(text="x", generation_info={"raw": ...}),
        chat(invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}]),
        ChatGeneration(message=HumanMessage("not an answer")),
        chat(""),
        chat("   "),
        chat(info={"finish_reason": "length"}),
        chat(response_metadata={"done_reason": "load"}),
        chat(response_metadata={"stop_reason": "max_tokens"}),
        chat(response_metadata={"stopReason": "max_tokens"}),
        chat(response_metadata={"status": "incomplete"}),
    ],
    ids=lambda generation: repr(generation)[-60:],
)
def test_what_would_not_come_back_is_not_kept(cache: Any, generation: Any) -> None:
    cache.update(ASKED, LLM, [generation])
    assert cache.lookup(ASKED, LLM) is None
    cache.update(ASKED, LLM, [chat("whole"), generation])
    assert cache.lookup(ASKED, LLM) is None


def test_no_generations_are_not_kept(cache: Any) -> None:
    cache.update(ASKED, LLM, [])
    assert cache.lookup(ASKED, LLM) is None


def test_the_answer_comes_although_it_is_not_kept(kit: Kit) -> None:
    set_llm_cache(kit.cache())
    Named.calls.clear()
    answers = [AIMessage("Paris.", response_metadata={"object": object()})]
    for _ in range(2):
        assert Named(answers=answers).invoke(ASKED).text == "Paris."
    assert len(Named.calls) == 2


@pytest.mark.parametrize(
    "llm", ["no list at all", "[(broken", "(1, 2)", "model=gpt", "[1, 2]", "{'a': 1}", ""]
)
def test_an_identity_that_cannot_be_read_is_taken_whole(cache: Any, llm: str) -> None:
    if kind_of(llm) == "unnamed":
        cache.update(ASKED, llm, [chat()])
        assert cache.lookup(ASKED, llm) is None
        return
    assert kind_of(llm) == "opaque"
    cache.update(ASKED, llm, [chat()])
    assert cache.lookup(ASKED, llm) is not None
    assert cache.lookup("What's the capital of France?", llm) is None
    assert cache.lookup(ASKED, llm + " ") is None


@pytest.mark.parametrize(
    ("llm", "kind"),
    [
        ("[('_type', 'chat-ollama'), ('stop', None)]", "unnamed"),
        ("{'_type': 'ollama-llm'}", "unnamed"),
        ("[('_type', 'x'), ('model', 'm')]", "named"),
        ("[('_type', 'x'), ('model_name', 'm'), ('f', <function f at 0x1>)]", "named"),
        ("[('_type', 'x'), ('model', None)]", "unnamed"),
        ("[('_type', 'x'), ('model', '')]", "unnamed"),
        ("[('_type', 'x'), ('f', <f>), ('tools', [{'required': ['model', 'b']}])]", "unnamed"),
        ("[('_type', 'x'), ('f', <f>), ('tools', [{'model': 'b'}])]", "unnamed"),
        ('{"id": ["x"], "kwargs": {"model_name": "m"}}---[(\'stop\', None)]', "named"),
        ('{"id": ["x"], "kwargs": {"system": "a---b", "model": "m"}}---[]', "named"),
        ('{"id": ["x"], "kwargs": {"system": "a---b"}}---[(\'x\', {"model": "m"})]', "unnamed"),
        ("[('cached_by', 'aegis'), ('model', 'm')]", "aegis"),
        ("anything", "opaque"),
    ],
)
def test_what_an_identity_says(llm: str, kind: str) -> None:
    assert kind_of(llm) == kind


def test_messages_are_read_without_what_no_model_sees() -> None:
    talk = [
        HumanMessage("Hi", id="1"),
        AIMessage("Ho", id="2", response_metadata={"t": 1}, usage_metadata={
            "input_tokens": 1, "output_tokens": 1, "total_tokens": 2}),
    ]  # fmt: skip
    assert messages_of(dumps(talk)) == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
    )


@pytest.mark.parametrize("prompt", ["", "[{", "[{}]", "[1]", '[{"type": "x"}]', "null", "Hi"])
def test_a_prompt_that_is_no_chat_is_taken_whole(cache: Any, prompt: str) -> None:
    assert messages_of(prompt) is None
    cache.update(prompt, LLM, [chat()])
    assert cache.lookup(prompt, LLM) is not None
    assert cache.lookup(prompt + " ", LLM) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["cat:", "A", "dog:", "B"], ["A", "cat:", "B", "dog:"]),
        (["A", "B"], ["B", "A"]),
        (["look", "A"], ["look", "B"]),
        (["look", "A"], ["look"]),
    ],
)
def test_blocks_and_their_order_are_in_the_key(
    cache: Any, one: list[str], other: list[str]
) -> None:
    def prompt(words: list[str]) -> str:
        blocks: list[Any] = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{word}"}}
            if word.isupper()
            else {"type": "text", "text": word}
            for word in words
        ]
        return dumps([HumanMessage(blocks)])

    cache.update(prompt(one), LLM, [chat()])
    assert cache.lookup(prompt(one), LLM) is not None
    assert cache.lookup(prompt(other), LLM) is None


def test_broken_tool_calls_of_the_past_are_in_the_key(cache: Any) -> None:
    def prompt(args: str) -> str:
        call = {"name": "f", "args": args, "id": "1", "error": None}
        return dumps([AIMessage("", invalid_tool_calls=[call]), HumanMessage("again")])

    cache.update(prompt("{1"), LLM, [chat()])
    assert cache.lookup(prompt("{1"), LLM) is not None
    assert cache.lookup(prompt("{2"), LLM) is None


def test_lone_surrogates_are_not_kept(cache: Any) -> None:
    prompt = json.dumps("lone \ud800") + "\ud800"
    cache.update(prompt, LLM, [chat()])
    assert cache.lookup(prompt, LLM) is None
    cache.update(ASKED, LLM + "\ud800", [chat()])
    assert cache.lookup(ASKED, LLM + "\ud800") is None


def test_langchain_itself_agrees_with_a_hit(kit: Kit) -> None:
    """What LangChain makes of a hit is the same as with its own cache, origin and usage apart."""
    told = []
    hit: Any = None
    for cache in (InMemoryCache(), kit.cache()):
        set_llm_cache(cache)
        model = Named(answers=[AIMessage("Paris.", response_metadata={"x": 1})])
        model.invoke(ASKED)
        hit = model.invoke(ASKED)
        told.append((type(hit), hit.content, hit.response_metadata["x"], set(hit.model_dump())))
    assert told[0] == told[1]
    assert outcome(hit) == "hit_local"
