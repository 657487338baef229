"""Tools, agents and structured answers, through AegisOllama unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from llama_index.core import PromptTemplate
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from aegis_llm import observe
from tests.llama_index.kit import Kit, outcome

QUESTION = "What is the weather in Rome?"


class City(BaseModel):
    """A city."""

    name: str
    population: int


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It is sunny in {city}."


def time_of(city: str) -> str:
    """Tell the time in a city."""
    return f"It is noon in {city}."


WEATHER, TIME = (FunctionTool.from_defaults(f) for f in (weather, time_of))


async def chat(llm: Any, tools: list[FunctionTool], text: str) -> Any:
    return await asyncio.to_thread(llm.chat_with_tools, tools, text)


async def achat(llm: Any, tools: list[FunctionTool], text: str) -> Any:
    return await llm.achat_with_tools(tools, text)


async def stream(llm: Any, tools: list[FunctionTool], text: str) -> Any:
    return await asyncio.to_thread(lambda: list(llm.stream_chat_with_tools(tools, text))[-1])


async def astream(llm: Any, tools: list[FunctionTool], text: str) -> Any:
    return [chunk async for chunk in await llm.astream_chat_with_tools(tools, text)][-1]


WAYS: dict[str, Callable[..., Awaitable[Any]]] = {
    way.__name__: way for way in (chat, achat, stream, astream)
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


@EVERY_WAY
async def test_tool_calls_come_back_as_they_were(kit: Kit, way: Any) -> None:
    async with kit.awaited_stock() as plain:
        stock = await way(plain, [WEATHER], QUESTION)
    llm = kit.aegis()
    miss, hit = await way(llm, [WEATHER], QUESTION), await way(llm, [WEATHER], QUESTION)
    assert (outcome(miss), outcome(hit)) == ("miss", "hit_local")
    assert stock.message == miss.message == hit.message
    (call,) = llm.get_tool_calls_from_response(hit)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Rome"})
    hit.message.blocks[-1].tool_kwargs["city"] = "Paris"
    again = await way(llm, [WEATHER], QUESTION)
    assert llm.get_tool_calls_from_response(again)[0].tool_kwargs == {"city": "Rome"}
    assert kit.calls == 2


@EVERY_WAY
async def test_tool_sets_are_told_apart_and_never_by_meaning(kit: Kit, way: Any) -> None:
    llm = kit.aegis()
    seen = [
        outcome(await way(llm, tools, text))
        for tools, text in (
            ([WEATHER], QUESTION),
            ([TIME], QUESTION),
            ([WEATHER, TIME], QUESTION),
            ([TIME, WEATHER], QUESTION),
            ([WEATHER], "What's the weather in Rome?"),
            ([WEATHER], QUESTION),
        )
    ]
    assert seen == ["miss", "miss", "miss", "hit_local", "miss", "hit_local"]
    assert kit.embed_model.asked == 0


async def test_predict_and_call(kit: Kit) -> None:
    llm = kit.aegis()
    for expected in ("miss", "hit_local", "hit_local"):
        with observe() as seen:
            answer = await asyncio.to_thread(llm.predict_and_call, [WEATHER], QUESTION)
            awaited = await llm.apredict_and_call([WEATHER], QUESTION)
        assert str(answer) == str(awaited) == "It is sunny in Rome."
        assert seen.outcomes == [expected, "hit_local"]
    assert kit.calls == 1


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")  # LlamaIndex's
@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agent_repeats_its_run_from_the_cache(kit: Kit, streaming: bool) -> None:
    runs = []
    for llm in (kit.aegis(), kit.aegis(), kit.aegis()):
        agent = FunctionAgent(tools=[WEATHER], llm=llm, streaming=streaming)
        with observe() as seen:
            handler = agent.run(QUESTION)
            parts = [e.delta async for e in handler.stream_events() if isinstance(e, AgentStream)]
            result = await handler
        runs.append((str(result), "".join(parts), seen.outcomes))
    assert [run[0] for run in runs] == [runs[0][0]] * 3
    assert [run[1] for run in runs] == [runs[0][1]] * 3
    assert runs[0][2][0] == "miss"
    assert runs[1][2] == runs[2][2] == ["hit_local"] * len(runs[0][2])


PROMPT = PromptTemplate("The city is {name} with population 2800000.")


async def structured(llm: Any, name: str) -> Any:
    return await asyncio.to_thread(llm.structured_predict, City, PROMPT, name=name)


async def astructured(llm: Any, name: str) -> Any:
    return await llm.astructured_predict(City, PROMPT, name=name)


async def stream_structured(llm: Any, name: str) -> Any:
    call = llm.stream_structured_predict
    return await asyncio.to_thread(lambda: list(call(City, PROMPT, name=name))[-1])


async def astream_structured(llm: Any, name: str) -> Any:
    partial = await llm.astream_structured_predict(City, PROMPT, name=name)
    return [one async for one in partial][-1]


async def as_structured(llm: Any, name: str) -> Any:
    inner = llm.as_structured_llm(City)
    message = ChatMessage(role="user", content=PROMPT.format(name=name))
    return (await asyncio.to_thread(inner.chat, [message])).raw


STRUCTURED = (
    structured, astructured, stream_structured, astream_structured, as_structured,
)  # fmt: skip


@pytest.mark.parametrize("way", STRUCTURED)
async def test_structured_answers_repeat_from_the_cache(kit: Kit, way: Any) -> None:
    async with kit.awaited_stock() as plain:
        stock = await way(plain, '"Rome"')
    llm = kit.aegis()
    for expected in ("miss", "hit_local"):
        with observe() as seen:
            found = await way(llm, '"Rome"')
        assert found.model_dump() == stock.model_dump()
        assert (found.name, found.population) == ("Rome", 2800000)
        assert seen.outcomes == [expected]
    for other in STRUCTURED:
        assert (await other(llm, '"Rome"')).name == "Rome"
    assert kit.calls == 2


async def test_another_schema_is_another_request(kit: Kit) -> None:
    class Place(BaseModel):
        name: str

    llm = kit.aegis()
    await structured(llm, '"Rome"')
    with observe() as seen:
        llm.structured_predict(Place, PROMPT, name='"Rome"')
    assert seen.outcomes == ["miss"]


async def test_an_answer_that_is_no_json_is_not_kept(kit: Kit) -> None:
    llm = kit.aegis()
    kit.ollama.faults.empty()
    with pytest.raises(ValueError, match="Invalid JSON"):
        await structured(llm, '"Rome"')
    with observe() as seen:
        assert (await structured(llm, '"Rome"')).name == "Rome"
    assert seen.outcomes == ["miss"]
