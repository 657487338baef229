"""Each way to call, each kind of request: as the stock model, first as a miss, then as a hit."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from tests.langchain.kit import Kit, outcome
from tests.langchain.ways import WAYS, Way

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

PIXEL = base64.b64encode(b"\x89PNG\r\n a picture").decode()
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PICTURE: list[Any] = [
    {"type": "text", "text": "What is in the picture?"},
    {"type": "image_url", "image_url": f"data:image/png;base64,{PIXEL}"},
]

REQUESTS: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "plain": ({}, "What is the capital of France?", {}),
    "stop": ({}, "What is the capital of France?", {"stop": ["capital"]}),
    "tools": ({}, "What is the weather in Paris?", {"tools": [WEATHER]}),
    "schema": ({}, "Which city has the Eiffel tower, Paris?", {"format": SCHEMA}),
    "json": ({"format": "json"}, "Name a city as JSON.", {}),
    "image": ({"model": "llava:7b"}, [HumanMessage(PICTURE)], {}),
    "thinking": ({"model": "qwen3:8b", "reasoning": True}, "What is 6 * 7?", {}),
    "not thinking": ({"model": "qwen3:8b", "reasoning": False}, "What is 6 * 7?", {}),
    "logprobs": ({"logprobs": True, "top_logprobs": 2}, "What is the capital of France?", {}),
    "blocks": ({"output_version": "v1"}, "What is the capital of France?", {}),
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_miss_and_a_hit_are_what_the_stock_model_gives(
    akit: Kit, way: Way, kind: str
) -> None:
    settings, asked, given = REQUESTS[kind]
    expected = await way(akit.stock(**settings), asked, **given)
    model = akit.aegis(**settings, embeddings=None)
    before = akit.calls

    missed = await way(model, asked, **given)
    assert akit.calls == before + 1
    hit = await way(model, asked, **given)
    assert akit.calls == before + 1

    assert outcome(missed) == "miss"
    assert outcome(hit) == "hit_local"
    assert shape(missed) == shape(expected)
    assert shape(hit) == shape(expected)
    assert missed.usage_metadata == expected.usage_metadata
    assert set(hit.usage_metadata.values()) == {0}
    saved = hit.response_metadata["aegis"]["saved_tokens"]
    assert saved == expected.usage_metadata["total_tokens"]


@pytest.mark.parametrize("kind", ["plain", "tools", "thinking", "logprobs"])
async def test_every_way_fills_the_cache_for_every_other(akit: Kit, way: Way, kind: str) -> None:
    settings, asked, given = REQUESTS[kind]
    model = akit.aegis(**settings, local_max_bytes=0, embeddings=None)
    filled = await way(model, asked, **given)
    assert akit.calls == 1
    for name, other in WAYS.items():
        hit = await other(model, asked, **given)
        assert outcome(hit) == "hit_exact", name
        assert hit.text == filled.text, name
        assert calls_of(hit) == calls_of(filled), name
    assert akit.calls == 1


def shape(message: Any) -> dict[str, Any]:
    """What has to be equal whether a model answered or the cache did."""
    metadata = {k: v for k, v in message.response_metadata.items() if k != "aegis"}
    measured = {"created_at", "total_duration", "load_duration", "prompt_eval_count",
                "prompt_eval_duration", "eval_count", "eval_duration"}  # fmt: skip
    return {
        "type": type(message),
        "content": _without_ids(message.content),
        "tool_calls": calls_of(message),
        "additional_kwargs": message.additional_kwargs,
        "metadata": {k: type(v) if k in measured else v for k, v in metadata.items()},
        "types": {k: _types(v) for k, v in metadata.items()},
        "usage": set(message.usage_metadata or {}),
        "id": message.id.rpartition("--")[0],
    }


def calls_of(message: Any) -> list[tuple[str, Any, str]]:
    return [(call["name"], call["args"], call["type"]) for call in message.tool_calls]


def _without_ids(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{k: v for k, v in block.items() if k != "id"} for block in content]


def _types(value: Any) -> Any:
    return [_types(one) for one in value] if isinstance(value, list) else type(value)
