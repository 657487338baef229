"""Requests to a model, drawn at random, and every way to change one part of them."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from aegis_llm.keys import query_hash, request_from_body, scope_hash
from aegis_llm.values import Control

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
WORD = st.text("abcxyz", min_size=1, max_size=4)
NUMBER = st.one_of(
    st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6).filter(lambda f: not f.is_integer())
)
OPTIONS = {
    "temperature": NUMBER,
    "seed": st.integers(0, 2**31),
    "num_ctx": st.integers(1, 2**20),
    "num_predict": st.integers(-2, 4096),
    "top_p": NUMBER,
    "top_k": NUMBER,
    "stop": st.lists(TEXT, max_size=3),
    "mirostat": st.integers(0, 2),
    "repeat_penalty": NUMBER,
    "num_gpu": st.integers(0, 99),
    "an_option_of_tomorrow": st.booleans(),
}
ARGUMENTS = st.dictionaries(WORD, st.one_of(TEXT, NUMBER, st.booleans()), max_size=3)
SCHEMA = st.fixed_dictionaries({"type": st.just("object"), "title": WORD})
TOOL = st.fixed_dictionaries(
    {"type": st.just("function"), "function": st.fixed_dictionaries({"name": WORD})}
)
IMAGE = st.binary(min_size=1, max_size=24)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A body of `/api/chat` with a conversation of six messages, of which the last one asks."""
    call, other = draw(st.lists(WORD, min_size=2, max_size=2, unique=True))
    return {
        "model": draw(WORD) + ":" + draw(WORD),
        "messages": [
            {"role": "system", "content": "system " + draw(TEXT)},
            {"role": "user", "content": "user " + draw(TEXT), "images": [draw(IMAGE)]},
            {
                "role": "assistant",
                "content": "assistant " + draw(TEXT),
                "thinking": "thought " + draw(TEXT),
                "tool_calls": [
                    {"id": call, "function": {"name": draw(WORD), "arguments": draw(ARGUMENTS)}},
                    {"id": other, "function": {"name": draw(WORD), "arguments": draw(ARGUMENTS)}},
                ],
            },
            {"role": "tool", "content": "one", "tool_name": "a", "tool_call_id": call},
            {"role": "tool", "content": "two", "tool_name": "b", "tool_call_id": other},
            {"role": "user", "content": "before What is it? after"},
        ],
        "options": draw(st.fixed_dictionaries({}, optional=OPTIONS)),
        "format": draw(st.one_of(st.none(), st.just("json"), SCHEMA)),
        "tools": draw(st.lists(TOOL, max_size=2)),
        "think": draw(st.sampled_from([None, True, False, "low", "high"])),
        "stream": draw(st.booleans()),
        "keep_alive": draw(st.sampled_from([None, "5m", 0])),
    }


CONTROLS = st.builds(Control, tenant=st.none() | WORD, user=st.none() | WORD, tags=st.tuples(WORD))


def key(body: dict[str, Any], digest: str = "d", control: Control | None = None) -> str:
    """The key of a body."""
    return query_hash(request_from_body(body), digest, control or Control())


def scope(body: dict[str, Any], digest: str = "d", control: Control | None = None) -> str:
    """The scope of a body whose last message asks `What is it?`, or what stands there instead."""
    last = len(body["messages"]) - 1
    content = body["messages"][last]["content"]
    end = len(content) - len(" after")
    request = request_from_body(body)
    return scope_hash(request, digest, control or Control(), last, len("before "), end)


def both(body: dict[str, Any]) -> tuple[str, str]:
    """Key and scope."""
    return key(body), scope(body)


Change = Callable[[st.DataObject, dict[str, Any]], None]
CHANGES: dict[str, Change] = {}


def change(made: Change) -> Change:
    """Register a way to change one part of a body, in place."""
    CHANGES[made.__name__] = made
    return made


def changed(name: str, data: st.DataObject, body: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the body with one part changed."""
    copied = copy.deepcopy(body)
    CHANGES[name](data, copied)
    return copied


def _another(data: st.DataObject, strategy: st.SearchStrategy[Any], than: Any) -> Any:
    return data.draw(strategy.filter(lambda v: (type(v), v) != (type(than), than)))


@change
def model(data: st.DataObject, body: dict[str, Any]) -> None:
    body["model"] = _another(data, WORD.map(lambda w: f"{w}:latest"), body["model"])


@change
def an_option_changed(data: st.DataObject, body: dict[str, Any]) -> None:
    name = data.draw(st.sampled_from(sorted(OPTIONS)))
    body["options"][name] = _another(data, OPTIONS[name], body["options"].get(name))


@change
def an_option_removed(data: st.DataObject, body: dict[str, Any]) -> None:
    body["options"]["seed"] = data.draw(NUMBER)
    name = data.draw(st.sampled_from(sorted(body["options"])))
    was = key(body)
    del body["options"][name]
    assert key(body) != was
    body["options"] = {**body["options"], "seed": -1}


@change
def stop_order(_: st.DataObject, body: dict[str, Any]) -> None:
    was = body["options"].get("stop") or []
    body["options"]["stop"] = [*was, "\n"]
    before = key(body)
    body["options"]["stop"] = ["\n", *was, "\t"]
    assert key(body) != before


@change
def format_(data: st.DataObject, body: dict[str, Any]) -> None:
    body["format"] = _another(data, st.sampled_from([None, "json", {}]) | SCHEMA, body["format"])


@change
def format_order(data: st.DataObject, body: dict[str, Any]) -> None:
    """The order of a schema's properties is the order in which the model writes them."""
    first, second = data.draw(st.lists(WORD, min_size=2, max_size=2, unique=True))
    body["format"] = {"properties": {first: {}, second: {}}}
    was = key(body)
    body["format"] = {"properties": {second: {}, first: {}}}
    assert key(body) != was


@change
def a_tool_more(data: st.DataObject, body: dict[str, Any]) -> None:
    body["tools"].append(data.draw(TOOL))


@change
def a_tool_changed(data: st.DataObject, body: dict[str, Any]) -> None:
    if not body["tools"]:
        body["tools"].append(data.draw(TOOL))
    body["tools"][0]["function"]["description"] = data.draw(TEXT)


@change
def think(data: st.DataObject, body: dict[str, Any]) -> None:
    levels = st.sampled_from([None, True, False, "low", "medium", "high"])
    body["think"] = _another(data, levels, body["think"])


@change
def a_field_of_tomorrow(data: st.DataObject, body: dict[str, Any]) -> None:
    body["truncate"] = data.draw(st.booleans())


@change
def message_order(data: st.DataObject, body: dict[str, Any]) -> None:
    at = data.draw(st.integers(0, 3))
    messages = body["messages"]
    messages[at], messages[at + 1] = messages[at + 1], messages[at]


@change
def a_message_less(data: st.DataObject, body: dict[str, Any]) -> None:
    del body["messages"][data.draw(st.integers(0, 4))]


@change
def a_message_twice(data: st.DataObject, body: dict[str, Any]) -> None:
    at = data.draw(st.integers(0, 4))
    body["messages"].insert(at, body["messages"][at])


@change
def an_empty_message_more(data: st.DataObject, body: dict[str, Any]) -> None:
    role = data.draw(st.sampled_from(["", "user", "system"]))
    body["messages"].insert(data.draw(st.integers(0, 5)), {"role": role, "content": ""})


@change
def role(data: st.DataObject, body: dict[str, Any]) -> None:
    message = body["messages"][data.draw(st.integers(0, 5))]
    message["role"] = _another(data, st.sampled_from(["user", "system", "x", ""]), message["role"])


@change
def content(data: st.DataObject, body: dict[str, Any]) -> None:
    message = body["messages"][data.draw(st.integers(0, 4))]
    message["content"] = _another(data, TEXT, message["content"])


@change
def around_the_question(data: st.DataObject, body: dict[str, Any]) -> None:
    body["messages"][-1]["content"] = data.draw(
        st.sampled_from(["Before What is it? after", "before What is it? After"])
    )


@change
def thinking(data: st.DataObject, body: dict[str, Any]) -> None:
    message = body["messages"][2]
    message["thinking"] = _another(data, TEXT | st.none(), message["thinking"])


@change
def image_bytes(data: st.DataObject, body: dict[str, Any]) -> None:
    message = body["messages"][1]
    message["images"] = [_another(data, IMAGE, message["images"][0])]


@change
def image_in_base64(data: st.DataObject, body: dict[str, Any]) -> None:
    message = body["messages"][1]
    other = _another(data, IMAGE, message["images"][0])
    message["images"] = [base64.b64encode(other).decode()]


@change
def image_count(_: st.DataObject, body: dict[str, Any]) -> None:
    body["messages"][1]["images"] *= 2


@change
def tool_call_name(data: st.DataObject, body: dict[str, Any]) -> None:
    function = body["messages"][2]["tool_calls"][0]["function"]
    function["name"] = _another(data, WORD, function["name"])


@change
def tool_call_arguments(data: st.DataObject, body: dict[str, Any]) -> None:
    function = body["messages"][2]["tool_calls"][0]["function"]
    function["arguments"] = {**function["arguments"], "new": data.draw(TEXT)}


@change
def tool_calls_less(_: st.DataObject, body: dict[str, Any]) -> None:
    del body["messages"][2]["tool_calls"]


@change
def tool_results_swapped(_: st.DataObject, body: dict[str, Any]) -> None:
    """Each result now belongs to the other call."""
    one, two = body["messages"][3], body["messages"][4]
    one["tool_call_id"], two["tool_call_id"] = two["tool_call_id"], one["tool_call_id"]


@change
def tool_name(data: st.DataObject, body: dict[str, Any]) -> None:
    message = body["messages"][3]
    message["tool_name"] = _another(data, WORD, message["tool_name"])
