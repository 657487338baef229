"""Agents of `create_agent` with the middleware: real graphs, a simulated Ollama, a real Redis."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from aegis_llm import AegisConfig, ConfigError, cache_control, observe
from langchain_aegis.agents import AegisMiddleware
from tests.langchain.kit import PATIENT, Kit

WEATHER = "What is the weather in Paris? Use the weather tool."


@pytest.fixture
def runs() -> list[str]:
    """What the tools were asked, in order."""
    return []


@pytest.fixture
def tools(runs: list[str]) -> dict[str, Any]:
    """Tools that note that they ran; two of them differ in their description only."""

    def weather(city: str) -> str:
        runs.append(city)
        return f"sunny in {city}, run {len(runs)}"

    def steady(city: str) -> str:
        runs.append(city)
        return f"sunny in {city}"

    def named(function: Any, description: str) -> Any:
        return tool("weather", description=description)(function)

    return {
        "changing": named(weather, "The weather in a city."),
        "steady": named(steady, "The weather in a city."),
        "other": named(steady, "The weather in a city, from another service."),
    }


@pytest.fixture
def middleware(kit: Kit) -> Iterator[Any]:
    """Make middleware on the session's Redis."""
    made: list[AegisMiddleware] = []

    def make(**given: Any) -> AegisMiddleware:
        made.append(
            AegisMiddleware(
                **{
                    "redis_url": kit.redis_url,
                    "namespace": kit.namespace,
                    "config": AegisConfig().with_options(**PATIENT),
                }
                | given
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.cache._service.store.close()
    gc.collect()  # a graph and its nodes name each other


def asked(agent: Any, text: str = WEATHER, **given: Any) -> tuple[Any, list[str]]:
    """Run an agent; return its end state and the outcomes of its model calls."""
    with observe() as seen:
        state = agent.invoke({"messages": [HumanMessage(text)]}, **given)
    return state, seen.outcomes


def texts(state: Any) -> list[str]:
    return [message.text for message in state["messages"]]


def test_a_loop_with_tools_is_served_step_by_step_and_its_tools_run_again(
    kit: Kit, middleware: Any, tools: Any, runs: list[str]
) -> None:
    agent = create_agent(kit.stock(), [tools["steady"]], middleware=[middleware()])
    first, outcomes = asked(agent)
    assert outcomes == ["miss", "miss"]
    assert [type(m) for m in first["messages"]] == [
        HumanMessage, AIMessage, ToolMessage, AIMessage,
    ]  # fmt: skip
    again, outcomes = asked(agent)
    assert outcomes == ["hit_local", "hit_local"]
    assert texts(again) == texts(first)
    assert runs == ["Paris", "Paris"]
    assert kit.calls == 2
    ids = [m.id for state in (first, again) for m in state["messages"] if isinstance(m, AIMessage)]
    assert len(set(ids)) == 4
    calls = [state["messages"][1].tool_calls[0]["id"] for state in (first, again)]
    assert calls[0] != calls[1] == again["messages"][2].tool_call_id


def test_another_result_of_a_tool_is_another_request(
    kit: Kit, middleware: Any, tools: Any
) -> None:
    agent = create_agent(kit.stock(), [tools["changing"]], middleware=[middleware()])
    assert asked(agent)[1] == ["miss", "miss"]
    state, outcomes = asked(agent)
    assert outcomes == ["hit_local", "miss"]
    assert "run 2" in texts(state)[-1]


def test_agents_that_differ_in_one_thing_never_share(
    kit: Kit, middleware: Any, tools: Any
) -> None:
    model, shared = kit.stock(), middleware()
    ways: list[dict[str, Any]] = [
        {"model": model, "tools": [tools["steady"]]},
        {"model": model, "tools": [tools["other"]]},
        {"model": model, "tools": []},
        {"model": model, "tools": [tools["steady"]], "system_prompt": "Be brief."},
        {"model": kit.stock(temperature=0.7), "tools": [tools["steady"]]},
        {"model": kit.stock(model="mistral:7b"), "tools": [tools["steady"]]},
        {
            "model": model,
            "tools": [tools["steady"]],
            "response_format": ToolStrategy(Place),
        },
    ]
    for way in ways:
        agent = create_agent(middleware=[shared], **way)
        _, outcomes = asked(agent)
        assert set(outcomes) == {"miss"}, way


class Place(BaseModel):
    """A place and what is to be said of it."""

    city: str
    remark: str


def test_structured_output_is_kept(kit: Kit, middleware: Any) -> None:
    agent = create_agent(
        kit.stock(), [], middleware=[middleware()], response_format=ToolStrategy(Place)
    )
    text = "Say something about the city of Rome."
    first, outcomes = asked(agent, text)
    assert outcomes == ["miss"]
    again, outcomes = asked(agent, text)
    assert outcomes == ["hit_local"]
    assert isinstance(again["structured_response"], Place)
    assert again["structured_response"] == first["structured_response"]


def test_by_meaning_only_without_tools(kit: Kit, middleware: Any, tools: Any) -> None:
    shared = middleware(embeddings=kit.embeddings)
    asks = "How do I water a cactus?", "How should I water a cactus?"
    bare = create_agent(kit.stock(), [], middleware=[shared])
    assert [asked(bare, text)[1] for text in asks] == [["miss"], ["hit_semantic"]]
    bound = create_agent(kit.stock(), [tools["steady"]], middleware=[shared])
    for text in asks:
        with observe() as seen:
            bound.invoke({"messages": [HumanMessage(text)]})
        assert {(origin.outcome, origin.reason) for origin in seen} <= {
            ("miss", "tools_bound"),
            ("miss", "tool_message"),
        }


def test_never_by_meaning_once_tools_have_run(kit: Kit, middleware: Any) -> None:
    agent = create_agent(kit.stock(), [], middleware=[middleware(embeddings=kit.embeddings)])
    call = {"name": "weather", "args": {"city": "Paris"}, "id": "c1"}
    before = [
        HumanMessage("Is it sunny?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("sunny", tool_call_id="c1"),
        AIMessage("Yes."),
    ]
    kit.embeddings.asked.clear()
    for text in ("How do I water a cactus?", "How should I water a cactus?"):
        with observe() as seen:
            agent.invoke({"messages": [*before, HumanMessage(text)]})
        assert [(o.outcome, o.reason) for o in seen] == [("miss", "tool_message")]
    assert kit.embeddings.asked == []


@pytest.mark.parametrize("mode", ["messages", "updates", "values", ["messages", "updates"]])
def test_the_streams_of_a_graph(kit: Kit, middleware: Any, tools: Any, mode: Any) -> None:
    agent = create_agent(kit.stock(), [tools["steady"]], middleware=[middleware()])
    ends = []
    for outcomes in (["miss", "miss"], ["hit_local", "hit_local"]):
        with observe() as seen:
            parts = list(agent.stream({"messages": [HumanMessage(WEATHER)]}, stream_mode=mode))
        assert seen.outcomes == outcomes
        assert parts
        ends.append(_last_text(parts, mode))
    assert ends[0] == ends[1] != ""


def _last_text(parts: list[Any], mode: Any) -> str:
    """Put the text of the last answer together from the parts of a stream."""
    if mode == "values":
        return str(parts[-1]["messages"][-1].text)
    if mode == "updates":
        return str(parts[-1]["model"]["messages"][-1].text)
    messages = [p[1] if isinstance(mode, list) else p for p in parts]
    said = [m for m in messages if isinstance(m, tuple) and isinstance(m[0], AIMessage)]
    return "".join(m.text for m, _ in said if m.id == said[-1][0].id)


async def test_awaited_as_blocking(akit: Kit, middleware: Any, tools: Any) -> None:
    agent = create_agent(akit.stock(), [tools["steady"]], middleware=[middleware()])
    with observe() as seen:
        first = await agent.ainvoke({"messages": [HumanMessage(WEATHER)]})
    assert seen.outcomes == ["miss", "miss"]
    again, outcomes = await asyncio.to_thread(asked, agent)
    assert outcomes == ["hit_local", "hit_local"]
    assert texts(again) == texts(first)
    with observe() as seen:
        parts = [
            part
            async for part in agent.astream(
                {"messages": [HumanMessage(WEATHER)]}, stream_mode="updates"
            )
        ]
    assert seen.outcomes == ["hit_local", "hit_local"]
    assert len(parts) == 3


def test_many_at_once(kit: Kit, middleware: Any, tools: Any) -> None:
    agent = create_agent(kit.stock(), [tools["steady"]], middleware=[middleware()])
    cities = ["Paris", "Rome", "Oslo", "Bern"]

    def ask(city: str) -> str:
        return texts(asked(agent, f"What is the weather in {city}? Use the weather tool.")[0])[-1]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, cities * 6))
    for city, answer in zip(cities * 6, answers, strict=True):
        assert f"sunny in {city}" in answer


async def test_many_awaited_at_once(akit: Kit, middleware: Any, tools: Any) -> None:
    agent = create_agent(akit.stock(), [tools["steady"]], middleware=[middleware()])
    cities = ["Paris", "Rome", "Oslo"] * 4
    states = await asyncio.gather(
        *(
            agent.ainvoke(
                {"messages": [HumanMessage(f"What is the weather in {city}? Use the tool.")]}
            )
            for city in cities
        )
    )
    for city, state in zip(cities, states, strict=True):
        assert f"sunny in {city}" in texts(state)[-1]


def test_messages_of_hits_do_not_replace_each_other(kit: Kit, middleware: Any) -> None:
    """The graph keeps messages by their ids; a hit with an old id would overwrite."""
    agent = create_agent(kit.stock(), [], middleware=[middleware()], checkpointer=InMemorySaver())
    for thread in ("a", "b"):
        config = {"configurable": {"thread_id": thread}}
        for count in (2, 4):
            state, _ = asked(agent, "How do I water a cactus?", config=config)
            assert len(state["messages"]) == count
    assert kit.calls == 2


def test_a_tenant_of_the_context(kit: Kit, middleware: Any) -> None:
    shared = middleware(tenant=lambda context: context["tenant"])
    agent = create_agent(kit.stock(), [], middleware=[shared], context_schema=dict)
    runs = [
        ({"tenant": "a"}, "miss"),
        ({"tenant": "a"}, "hit_local"),
        ({"tenant": "b"}, "miss"),
        ({"tenant": None}, "bypass"),
        ({"tenant": 7}, "bypass"),
        ({}, "bypass"),
        (None, "bypass"),
    ]
    for context, expected in runs:
        assert asked(agent, "How do I water a cactus?", context=context)[1] == [expected], context


def test_chat_aegis_is_left_alone_but_for_its_tenant(kit: Kit, middleware: Any) -> None:
    shared = middleware(tenant=lambda context: context)
    agent = create_agent(kit.aegis(), [], middleware=[shared])
    seen = [
        asked(agent, "How do I water a cactus?", context=tenant)[1]
        for tenant in ("a", "a", "b", None)
    ]
    assert seen == [["miss"], ["hit_local"], ["miss"], ["bypass"]]


def test_models_with_a_cache_of_their_own_are_asked_once(kit: Kit, middleware: Any) -> None:
    own = kit.cache()
    bound = create_agent(own.bind(kit.stock()), [], middleware=[middleware()])
    assert asked(bound, "How do I water a cactus?")[1] == ["miss"]
    refused = create_agent(kit.stock(cache=False), [], middleware=[middleware()])
    assert asked(refused, "How do I water a cactus?")[1] == []


def test_cache_control_holds(kit: Kit, middleware: Any) -> None:
    agent = create_agent(kit.stock(), [], middleware=[middleware()])
    asked(agent, "How do I water a cactus?")
    with cache_control(bypass=True):
        assert asked(agent, "How do I water a cactus?")[1] == ["bypass"]
    with cache_control(refresh=True):
        assert asked(agent, "How do I water a cactus?")[1] == ["miss"]


def test_what_other_middleware_changes_is_part_of_the_key(kit: Kit, middleware: Any) -> None:
    class Warmer(AgentMiddleware[Any, Any, Any]):
        def __init__(self, temperature: float) -> None:
            super().__init__()
            self.temperature = temperature

        def wrap_model_call(self, request: ModelRequest[Any], handler: Any) -> Any:
            model = request.model.model_copy(update={"temperature": self.temperature})
            return handler(request.override(model=model))

    model, shared = kit.stock(), middleware()
    for temperature in (0.1, 0.9):
        agent = create_agent(model, [], middleware=[Warmer(temperature), shared])
        assert asked(agent, "How do I water a cactus?")[1] == ["miss"]
        assert asked(agent, "How do I water a cactus?")[1] == ["hit_local"]


def test_any_chat_model(middleware: Any) -> None:
    agent = create_agent(
        FakeListChatModel(responses=["one", "two"]), [], middleware=[middleware()]
    )
    assert [texts(asked(agent, "Hello")[0])[-1] for _ in range(3)] == ["one"] * 3


def test_redis_down_and_the_model_is_asked(kit: Kit, middleware: Any, tools: Any) -> None:
    agent = create_agent(
        kit.stock(), [tools["steady"]], middleware=[middleware(redis_url="redis://127.0.0.1:1")]
    )
    state, outcomes = asked(agent)
    assert outcomes == ["miss", "miss"]
    assert "sunny in Paris" in texts(state)[-1]


def test_an_error_of_the_model_passes_through(kit: Kit, middleware: Any) -> None:
    agent = create_agent(kit.stock(model="absent:1b"), [], middleware=[middleware()])
    with pytest.raises(Exception, match="absent:1b"):
        asked(agent, "Hello")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"tenant": "acme"}, "function of the run's context"),
        ({"cache": object(), "redis_url": "memory://"}, "put the settings into the cache"),
        ({"cache": object(), "ttl": 5}, "put the settings into the cache"),
    ],
)
def test_settings_that_are_not_usable(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AegisMiddleware(**given)
