"""Bad input: the very error, or the very answer, of the stock model; nothing cached or leaked."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import redis
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompts import ChatPromptTemplate

from tests.langchain.kit import Kit, error_awaited, flying, outcome
from tests.langchain.ways import WAYS, ainvoke, astream, invoke, stream

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


class Strange(BaseMessage):
    """A message type never seen."""

    type: str = "strange"


ERRORS: dict[str, Any] = {
    "nothing": None,
    "a number": 42,
    "an object": object(),
    "no messages": [],
    "an unknown message": [Strange(content="Hi")],
    "a function message": [FunctionMessage(name="f", content="x")],
    "a message to remove": [RemoveMessage(id="1")],
    "a role nobody knows": [("wizard", "Hi")],
    "a lone surrogate": "lone \ud800",
    "a lone surrogate in a system message": [SystemMessage("\udfff"), HumanMessage("Hi")],
    "a lone surrogate in a tool result": [ToolMessage("\ud800", tool_call_id="1")],
    "an unknown block": [HumanMessage([{"type": "video", "video": "x"}])],
    "a block without a type": [HumanMessage([{"x": 1}])],
    "an image that is no text": [HumanMessage([{"type": "image_url", "image_url": 1}])],
    "an image without data": [HumanMessage([{"type": "image_url", "image_url": {}}])],
    "an image for a blind model": [HumanMessage([{"type": "image_url", "image_url": "aGk="}])],
    "an image that is no base64": [HumanMessage([{"type": "image_url", "image_url": "%%%"}])],
    "an image block without data": [HumanMessage([{"type": "image", "source_type": "base64"}])],
}
ANSWERED: dict[str, Any] = {
    "empty": "",
    "blank": "   \n",
    "NUL": "a\x00b \x01 What is 1 + 1?",
    "a megabyte": "What is 1 + 1? " * 70_000,
    "odd letters": "Was ist 1 + 1? äöü \u202e \u2028 \U0001f600 \ufeff e\u0301",
    "a list of texts": [HumanMessage(["What is", {"type": "text", "text": "1 + 1?"}])],
    "an empty list": [HumanMessage([])],
    "no user": [SystemMessage("You are kind.")],
    "the model last": [HumanMessage("Hi"), AIMessage("Ho")],
    "a role of one's own": [ChatMessage(role="critic", content="What is 1 + 1?")],
    "tuples": [("system", "Be brief."), ("human", "What is 1 + 1?")],
    "dictionaries": [{"role": "user", "content": "What is 1 + 1?"}],
    "a prompt value": ChatPromptTemplate.from_template("{x}").invoke({"x": "What is 1 + 1?"}),
    "a tool result without a call": [HumanMessage("Hi"), ToolMessage("x", tool_call_id="1")],
    "the same message twice": [HumanMessage("Hi", id="1"), HumanMessage("Hi", id="1")],
}
SETTINGS: dict[str, dict[str, Any]] = {
    "no such model": {"model": "nobody"},
    "no name": {"model": ""},
    "a name that is none": {"model": "a b/c:d:e"},
    "an embedder": {"model": "all-minilm"},
    "thinking that cannot be": {"reasoning": True},
    "a format that is none": {"format": {"type": "nonsense"}},
    "too many logprobs": {"logprobs": True, "top_logprobs": 99},
    "a path": {"base_url": "http://127.0.0.1:9/nowhere"},
}
GIVEN: dict[str, dict[str, Any]] = {
    "stop as text": {"stop": "x"},
    "stop twice": {"stop": ["x"]},
    "an unknown option": {"nonsense": 1},
    "an option of the wrong type": {"options": {"num_ctx": "many"}},
    "an option that is an object": {"options": {"temperature": object()}},
    "an option that is no number": {"options": {"temperature": float("nan")}},
    "a tool that is none": {"tools": [1]},
    "a tool that is a function": {"tools": [len]},
    "a stop that is no text": {"stop": [1]},
    "a response format": {"response_format": {"type": "json_object"}},
    "not streamed": {"stream": False},
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=(invoke, ainvoke, stream, astream), ids=lambda way: way.__name__)
def one_of_four(request: pytest.FixtureRequest) -> Any:
    return request.param


async def result_of(way: Any, model: Any, asked: Any, **given: Any) -> Any:
    told: list[Any] = []

    async def ask() -> None:
        answer = await way(model, asked, **given)
        told.append((answer.text, answer.response_metadata.get("done_reason")))

    error = await error_awaited(ask)
    return error or told[0]


def keys(kit: Kit) -> list[bytes]:
    with redis.Redis.from_url(kit.redis_url) as client:
        return list(client.scan_iter(f"aegis:v1:{kit.namespace}:[xs]:*"))


@pytest.mark.parametrize("bad", ERRORS)
async def test_an_error_is_the_stock_models(akit: Kit, way: Any, bad: str) -> None:
    expected = await result_of(way, akit.stock(), ERRORS[bad])
    model = akit.aegis()
    for _ in range(2):
        assert await result_of(way, model, ERRORS[bad]) == expected
    assert isinstance(expected[0], type)
    assert keys(akit) == []
    assert flying(model) == 0


@pytest.mark.parametrize("odd", ANSWERED)
async def test_an_odd_prompt_is_answered_as_by_the_stock_model(
    akit: Kit, one_of_four: Any, odd: str
) -> None:
    expected = await result_of(one_of_four, akit.stock(), ANSWERED[odd])
    assert not isinstance(expected[0], type), expected
    model = akit.aegis()
    for _ in range(2):
        assert await result_of(one_of_four, model, ANSWERED[odd]) == expected
    answer = await one_of_four(model, ANSWERED[odd])
    assert outcome(answer) == ("hit_local" if expected[0].strip() else "miss")


@pytest.mark.parametrize("bad", SETTINGS)
async def test_a_setting_that_ollama_refuses(akit: Kit, one_of_four: Any, bad: str) -> None:
    given = SETTINGS[bad]
    expected = await result_of(one_of_four, akit.stock(**given), "What is 1 + 1?")
    model = akit.aegis(**given, embeddings=None)
    for _ in range(2):
        assert await result_of(one_of_four, model, "What is 1 + 1?") == expected
    if isinstance(expected[0], type):
        assert keys(akit) == []


@pytest.mark.parametrize("odd", GIVEN)
async def test_an_argument_that_makes_no_sense(akit: Kit, one_of_four: Any, odd: str) -> None:
    settings: dict[str, Any] = {"stop": ["y"]} if odd == "stop twice" else {}
    asked, given = "What is 1 + 1?", GIVEN[odd]
    expected = await result_of(one_of_four, akit.stock(**settings), asked, **given)
    model = akit.aegis(**settings)
    for _ in range(2):
        assert await result_of(one_of_four, model, asked, **given) == expected
    if isinstance(expected[0], type):
        assert keys(akit) == []


async def test_a_very_deep_schema(akit: Kit, one_of_four: Any) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    for _ in range(sys.getrecursionlimit()):
        schema = {"type": "object", "properties": {"x": schema}}
    given = {"format": schema}
    expected = await result_of(one_of_four, akit.stock(), "What is 1 + 1?", **given)
    assert await result_of(one_of_four, akit.aegis(), "What is 1 + 1?", **given) == expected


async def test_a_text_that_only_looks_like_an_image_path(akit: Kit, tmp_path: Any) -> None:
    """The client reads a path; what the key sees is what is sent, not where it came from."""
    model = akit.aegis(model="llava:7b")
    file = tmp_path / "picture.png"

    def asked() -> list[BaseMessage]:
        return [HumanMessage([{"type": "image_url", "image_url": str(file)}])]

    for content, expected in ((b"one", "miss"), (b"two", "miss"), (b"one", "hit_local")):
        file.write_bytes(content)
        assert outcome(await model.ainvoke(asked())) == expected
