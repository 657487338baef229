"""Which requests share an answer through LangChain, and which never do."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.runnables import ConfigurableField

from aegis_llm import cache_control
from tests.langchain.kit import Kit, outcome
from tests.langchain.test_calls import SCHEMA, WEATHER
from tests.langchain.test_structured import get_time, get_weather

ASKED = "What is the capital of France?"


def picture(content: bytes) -> HumanMessage:
    data = base64.b64encode(content).decode()
    url = f"data:image/png;base64,{data}"
    return HumanMessage([{"type": "text", "text": "What is it?"},
                         {"type": "image_url", "image_url": {"url": url}}])  # fmt: skip


def called(args: dict[str, Any]) -> list[BaseMessage]:
    call = {"name": "get_weather", "args": args, "id": "1", "type": "tool_call"}
    return [HumanMessage("weather?"), AIMessage("", tool_calls=[call]),
            ToolMessage("sunny", tool_call_id="1")]  # fmt: skip


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "another model": {"model": "mistral:7b"},
    "temperature": {"temperature": 0.0},
    "another temperature": {"temperature": 0.7},
    "num_ctx": {"num_ctx": 2048},
    "another num_ctx": {"num_ctx": 8192},
    "seed": {"seed": 1},
    "another seed": {"seed": 2},
    "stop": {"stop": ["x"]},
    "stops": {"stop": ["x", "y"]},
    "format": {"format": "json"},
    "schema": {"format": SCHEMA},
    "top_k": {"top_k": 10},
    "top_p": {"top_p": 0.5},
    "num_predict": {"num_predict": 200},
    "repeat_penalty": {"repeat_penalty": 1.2},
    "mirostat": {"mirostat": 1},
    "num_gpu": {"num_gpu": 1},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "no thinking": {"model": "qwen3:8b", "reasoning": False},
    "thinking": {"model": "qwen3:8b", "reasoning": True},
    "thinking as the model likes": {"model": "qwen3:8b"},
}
PROMPTS: dict[str, Any] = {
    "plain": ASKED,
    "another question": "What is the capital of Spain?",
    "system": [SystemMessage("Be brief."), HumanMessage(ASKED)],
    "another system": [SystemMessage("Be long."), HumanMessage(ASKED)],
    "system as human": [HumanMessage("Be brief."), HumanMessage(ASKED)],
    "system last": [HumanMessage(ASKED), SystemMessage("Be brief.")],
    "history": [HumanMessage("Hello"), AIMessage("Hi!"), HumanMessage(ASKED)],
    "another history": [HumanMessage("Hello"), AIMessage("Ho!"), HumanMessage(ASKED)],
    "split history": [HumanMessage("Hello Hi!"), AIMessage(""), HumanMessage(ASKED)],
    "role": [ChatMessage(role="critic", content=ASKED)],
    "spaces": f"{ASKED} ",
    "letters": ASKED.upper(),
    "tool call": called({"city": "Paris"}),
    "another tool call": called({"city": "Rome"}),
    "thoughts": [HumanMessage("Hello"), AIMessage("Hi!", additional_kwargs={
        "reasoning_content": "hm"}), HumanMessage(ASKED)],
}  # fmt: skip
GIVEN: dict[str, dict[str, Any]] = {
    "stop": {"stop": ["z"]},
    "weather": {"tools": [WEATHER]},
    "options": {"options": {"temperature": 0.3}},
    "format": {"format": {"type": "object", "properties": {"x": {"type": "string"}}}},
}


@pytest.fixture
def no_two_share(kit: Kit) -> Iterator[Any]:
    """Ask once with everything different, then once more: all misses, then all hits."""
    asked: list[Any] = []
    yield asked.append
    for number, ask in enumerate(asked):
        answer = ask()
        assert outcome(answer) == "miss", f"request {number} got another one's answer"
        assert answer.response_metadata["aegis"]["reason"] != "unreadable_entry"
    before = kit.calls
    assert {outcome(ask()) for ask in asked} == {"hit_local"}
    assert kit.calls == before


def test_settings_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    for given in SETTINGS.values():
        model = kit.aegis(embeddings=None, normalise_options=False, **given)
        no_two_share(lambda model=model: model.invoke(ASKED))


def test_prompts_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    model = kit.aegis(embeddings=None)
    for prompt in PROMPTS.values():
        no_two_share(lambda prompt=prompt: model.invoke(prompt))


def test_images_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    model = kit.aegis(model="llava:7b")
    for message in (picture(b"one"), picture(b"two"), HumanMessage("What is it?")):
        no_two_share(lambda message=message: model.invoke([message]))


def test_call_arguments_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    model = kit.aegis(embeddings=None)
    no_two_share(lambda: model.invoke(ASKED))
    for given in GIVEN.values():
        no_two_share(lambda given=given: model.invoke(ASKED, **given))
    no_two_share(lambda: model.bind(stop=["q"]).invoke(ASKED))
    no_two_share(lambda: model.bind_tools([get_time]).invoke(ASKED))
    no_two_share(lambda: model.bind_tools([get_weather, get_time]).invoke(ASKED))


def test_tenants_and_users_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    model = kit.aegis()

    def ask(control: dict[str, Any]) -> Any:
        with cache_control(**control):
            return model.invoke(ASKED)

    for control in ({}, {"tenant": "a"}, {"tenant": "b"}, {"tenant": "a", "user": "1"},
                    {"tenant": "a", "user": "2"}, {"user": "1"}):  # fmt: skip
        no_two_share(lambda control=control: ask(control))


def test_configurable_fields_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    model = kit.aegis(temperature=0.0).configurable_fields(
        temperature=ConfigurableField(id="temperature"), model=ConfigurableField(id="model")
    )
    for chosen in ({}, {"temperature": 0.9}, {"model": "mistral:7b"},
                   {"model": "mistral:7b", "temperature": 0.9}):  # fmt: skip
        configured = model.with_config(configurable=chosen)
        no_two_share(lambda configured=configured: configured.invoke(ASKED))


def test_alternatives_have_keys_of_their_own(kit: Kit, no_two_share: Any) -> None:
    model = kit.aegis().configurable_alternatives(
        ConfigurableField(id="llm"), other=kit.aegis(model="mistral:7b")
    )
    for name in ("default", "other"):
        configured = model.with_config(configurable={"llm": name})
        no_two_share(lambda configured=configured: configured.invoke(ASKED))


def test_the_order_of_tools_is_free(kit: Kit) -> None:
    model = kit.aegis()
    asked = "What is the weather in Paris?"
    assert outcome(model.bind_tools([get_weather, get_time]).invoke(asked)) == "miss"
    assert outcome(model.bind_tools([get_time, get_weather]).invoke(asked)) == "hit_local"
    assert outcome(model.bind_tools([get_time]).invoke(asked)) == "miss"


def test_what_cannot_change_an_answer_shares_one(kit: Kit) -> None:
    model = kit.aegis()
    first = model.invoke([HumanMessage(ASKED, id="1")])
    assert outcome(first) == "miss"
    port = kit.ollama.port
    same: list[Any] = [
        lambda: kit.aegis(keep_alive="1h").invoke(ASKED),
        lambda: kit.aegis(base_url=f"http://127.0.0.1:{port}/").invoke(ASKED),
        lambda: kit.aegis(base_url=f"http://localhost:{port}").invoke(ASKED),
        lambda: kit.aegis(base_url=f"localhost:{port}").invoke(ASKED),
        lambda: kit.aegis(metadata={"a": 1}, tags=["b"], verbose=False).invoke(ASKED),
        lambda: kit.aegis(name="other", disable_streaming=True).invoke(ASKED),
        lambda: model.invoke([HumanMessage(ASKED, id="2", name="ann")]),
        lambda: model.invoke([HumanMessage(ASKED, response_metadata={"x": 1})]),
        lambda: model.invoke([HumanMessage(ASKED, additional_kwargs={"x": 1})]),
        lambda: model.invoke(ASKED, config={"run_id": uuid4(), "run_name": "n", "tags": ["t"],
                                            "metadata": {"m": 1}, "callbacks": []}),
        lambda: model.bind(keep_alive=5).invoke(ASKED),
        lambda: model.with_config(tags=["x"]).invoke(ASKED),
        lambda: model.with_retry().invoke(ASKED),
        lambda: model.model_copy(update={"tags": ["y"]}).invoke(ASKED),
    ]  # fmt: skip
    for number, ask in enumerate(same):
        assert outcome(ask()) == "hit_local", number
    assert kit.calls == 1


def test_one_name_of_a_model_is_as_good_as_another(kit: Kit) -> None:
    kit.ollama.models["newest:latest"] = kit.ollama.models["llama3.1:8b"]
    try:
        assert outcome(kit.aegis(model="newest").invoke(ASKED)) == "miss"
        assert outcome(kit.aegis(model="newest:latest").invoke(ASKED)) == "hit_local"
    finally:
        del kit.ollama.models["newest:latest"]


def test_the_words_of_one_message_are_one_text(kit: Kit) -> None:
    model = kit.aegis()
    first = model.invoke([HumanMessage([{"type": "text", "text": ASKED}])])
    second = model.invoke([HumanMessage([ASKED])])
    assert (outcome(first), outcome(second)) == ("miss", "hit_local")


def test_control_is_for_the_calls_inside(kit: Kit) -> None:
    model = kit.aegis()
    with ExitStack() as stack:
        stack.enter_context(cache_control(tenant="a"))
        assert outcome(model.invoke(ASKED)) == "miss"
    assert outcome(model.invoke(ASKED)) == "miss"
    with cache_control(tenant="a"):
        assert outcome(model.invoke(ASKED)) == "hit_local"
