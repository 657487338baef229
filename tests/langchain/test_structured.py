"""Structured output and tools: what the stock model gives, as a miss and as a hit."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel, Field, create_model

from aegis_llm import observe
from tests.langchain.kit import Kit, outcome
from tests.langchain.test_calls import calls_of


class City(BaseModel):
    """A city."""

    name: str = Field(description="Its name")
    inhabitants: int = Field(description="How many people live there")


class CityDict(TypedDict):
    """A city."""

    name: str
    inhabitants: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@tool
def get_time(city: str) -> str:
    """Tell the time in a city."""
    return f"noon in {city}"


QUESTION = "Tell me about the city of Paris, which has 2000000 inhabitants, as JSON."


@pytest.mark.parametrize("include_raw", [False, True])
@pytest.mark.parametrize("schema", [City, CityDict, City.model_json_schema()], ids=type)
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
async def test_structured_output(akit: Kit, method: str, schema: Any, include_raw: bool) -> None:
    def structured(model: Any) -> Any:
        return model.with_structured_output(schema, method=method, include_raw=include_raw)

    expected = await _outcome_of(structured(akit.stock()))
    model = structured(akit.aegis(embeddings=None))
    before = akit.calls
    with observe() as seen:
        missed = await _outcome_of(model)
        hit = await _outcome_of(model)
        other = _sync_outcome_of(model)
    assert missed == expected
    assert hit == expected
    assert other == expected
    assert seen.outcomes == ["miss", "hit_local", "hit_local"]
    assert akit.calls == before + 1


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_a_schema_has_a_key_of_its_own(kit: Kit, method: Any) -> None:
    other = create_model("City", __doc__="A city.", name=(str, ...), mayor=(str, ...))
    model = kit.aegis(embeddings=None)
    for schema in (City, other):
        answer = model.with_structured_output(schema, method=method).invoke(QUESTION)
        assert isinstance(answer, schema)
    assert kit.calls == 2


async def test_streamed_structured_output(akit: Kit) -> None:
    asked = "Tell me about the city of Paris, which has 2000000 inhabitants."
    expected = list(akit.stock().with_structured_output(CityDict).stream(asked))
    model = akit.aegis(embeddings=None).with_structured_output(CityDict)
    before = akit.calls
    assert list(model.stream(asked))[-1] == expected[-1]
    assert list(model.stream(asked))[-1] == expected[-1]
    assert [part async for part in model.astream(asked)][-1] == expected[-1]
    assert akit.calls == before + 1


def test_a_tool_call_answers_again_with_a_new_id(kit: Kit) -> None:
    model = kit.aegis().bind_tools([get_weather, get_time])
    first, second, third = (model.invoke("What is the weather in Paris?") for _ in range(3))
    assert [outcome(m) for m in (first, second, third)] == ["miss", "hit_local", "hit_local"]
    assert calls_of(first) == calls_of(second) == [("get_weather", {"city": "Paris"}, "tool_call")]
    assert len({m.tool_calls[0]["id"] for m in (first, second, third)}) == 3


def test_a_tool_call_is_kept_in_the_exact_tier_only(kit: Kit) -> None:
    model = kit.aegis().bind_tools([get_weather])
    assert outcome(model.invoke("What is the weather in Paris?")) == "miss"
    reworded = model.invoke("What's the weather in Paris?")
    assert outcome(reworded) == "miss"
    assert reworded.response_metadata["aegis"]["reason"] == "tools_bound"


def test_an_agent_loop_repeats_without_a_model(kit: Kit) -> None:
    model = kit.aegis().bind_tools([get_weather])

    def run() -> list[BaseMessage]:
        messages: list[BaseMessage] = [HumanMessage("What is the weather in Paris?")]
        while True:
            answer = model.invoke(messages)
            messages.append(answer)
            if not answer.tool_calls:
                return messages
            messages += [get_weather.invoke(call) for call in answer.tool_calls]

    first = run()
    calls = kit.calls
    assert calls == 2
    second = run()
    assert kit.calls == calls
    assert [m.content for m in first] == [m.content for m in second]
    assert outcome(second[-1]) == "hit_local"


def test_a_tool_result_is_in_the_key(kit: Kit) -> None:
    model = kit.aegis()
    for result, expected in (("sunny", "miss"), ("rainy", "miss"), ("sunny", "hit_local")):
        call = {"name": "get_weather", "args": {"city": "Paris"}, "id": "1", "type": "tool_call"}
        answer = model.invoke(
            [
                HumanMessage("What is the weather in Paris?"),
                AIMessage("", tool_calls=[call]),
                ToolMessage(result, tool_call_id="1"),
            ]
        )
        assert outcome(answer) == expected
        assert result in answer.text


async def _outcome_of(model: Any) -> Any:
    try:
        return _plain(await model.ainvoke(QUESTION))
    except Exception as exc:  # noqa: BLE001 - whatever it is, both have to raise it
        return type(exc), str(exc)


def _sync_outcome_of(model: Any) -> Any:
    try:
        return _plain(model.invoke(QUESTION))
    except Exception as exc:  # noqa: BLE001 - whatever it is, both have to raise it
        return type(exc), str(exc)


def _plain(answer: Any) -> Any:
    if isinstance(answer, dict) and "raw" in answer:
        raw = answer["raw"]
        error = answer["parsing_error"]
        return (
            type(raw),
            raw.content,
            calls_of(raw),
            answer["parsed"],
            (type(error), str(error)) if error else None,
        )
    return answer
