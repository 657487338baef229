"""The key tells every two requests apart that can have different answers, and no others."""

from __future__ import annotations

import base64
import contextlib
import copy
import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aegis_llm.keys import (
    UncacheableError,
    exact_key,
    normal_model,
    query_hash,
    request_from_body,
    scope_hash,
    tenant_tag,
)
from aegis_llm.values import Control, Request
from tests.properties.requests import (
    CHANGES,
    CONTROLS,
    TEXT,
    WORD,
    bodies,
    both,
    changed,
    key,
    scope,
)


@pytest.mark.parametrize("name", sorted(CHANGES))
@settings(max_examples=20)
@given(data=st.data(), body=bodies())
def test_changing_one_part_changes_key_and_scope(
    name: str, data: st.DataObject, body: dict[str, Any]
) -> None:
    other = changed(name, data, body)
    if name == "message_order" and other["messages"] == body["messages"]:
        return
    assert key(other) != key(body)
    assert scope(other) != scope(body)


@given(bodies(), WORD, WORD)
def test_another_digest_changes_key_and_scope(body: dict[str, Any], one: str, two: str) -> None:
    assert (key(body, one) == key(body, two)) is (one == two)
    assert (scope(body, one) == scope(body, two)) is (one == two)


@given(bodies(), CONTROLS, CONTROLS)
def test_tenant_and_user_are_in_key_and_scope(
    body: dict[str, Any], one: Control, two: Control
) -> None:
    same = (one.tenant, one.user) == (two.tenant, two.user)
    assert (key(body, control=one) == key(body, control=two)) is same
    assert (scope(body, control=one) == scope(body, control=two)) is same
    assert (tenant_tag(one) == tenant_tag(two)) is same


@given(bodies(), TEXT)
def test_another_question_changes_the_key_and_not_the_scope(
    body: dict[str, Any], question: str
) -> None:
    other = copy.deepcopy(body)
    other["messages"][-1]["content"] = f"before {question} after"
    assert scope(other) == scope(body)
    assert (key(other) == key(body)) is (question == "What is it?")


@given(st.text(max_size=6), st.data())
def test_the_place_of_the_question_is_in_the_scope(text: str, data: st.DataObject) -> None:
    """Two cuts of one text have one scope only if what is around the question is the same."""
    request = Request("m:latest", ({"role": "user", "content": text},))
    cuts = st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)
    (a, b), (c, d) = data.draw(cuts), data.draw(cuts)
    same = (text[:a], text[b:]) == (text[:c], text[d:])
    one = scope_hash(request, "d", Control(), 0, a, b)
    assert (one == scope_hash(request, "d", Control(), 0, c, d)) is same


@given(TEXT)
def test_the_message_of_the_question_is_in_the_scope(text: str) -> None:
    request = Request("m:latest", ({"role": "user", "content": text},) * 2)
    first, second = (scope_hash(request, "d", Control(), i, 0, len(text)) for i in (0, 1))
    assert first != second


@given(bodies(), st.data())
def test_what_cannot_change_the_answer_changes_nothing(
    body: dict[str, Any], data: st.DataObject
) -> None:
    other = copy.deepcopy(body)
    other["stream"] = data.draw(st.none() | st.booleans())
    other["keep_alive"] = data.draw(st.sampled_from([None, -1, 0, "1h"]))
    other["a_null"] = None
    other["tools"] = data.draw(st.permutations(body["tools"]))
    options = [*body["options"].items(), ("tfs_z", None), ("min_p", None)]
    other["options"] = dict(data.draw(st.permutations(options)))
    for message in other["messages"]:
        for name in ("images", "tool_calls", "thinking", "tool_name"):
            if data.draw(st.booleans()):
                message.setdefault(name, None if name.startswith("t") else [])
    other["messages"] = [
        dict(data.draw(st.permutations(list(message.items())))) for message in other["messages"]
    ]
    assert both(other) == both(body)


@given(bodies())
def test_fields_without_a_value_count_as_absent(body: dict[str, Any]) -> None:
    for name in ("options", "tools", "format", "think"):
        body.pop(name)
    for absent in (
        {"options": {}, "tools": []},
        {"options": None, "format": None, "think": None},
        {"options": {"seed": None, "temperature": None}, "tools": None},
    ):
        assert both({**body, **absent}) == both(body)


@given(bodies(), st.lists(WORD, min_size=2, max_size=2, unique=True))
def test_random_ids_of_tool_calls_change_nothing(body: dict[str, Any], ids: list[str]) -> None:
    other = copy.deepcopy(body)
    for call, result, name in zip(
        other["messages"][2]["tool_calls"], other["messages"][3:5], ids, strict=True
    ):
        call["id"] = result["tool_call_id"] = name
    assert both(other) == both(body)


@given(bodies(), st.binary(min_size=1, max_size=64))
@example({"model": "m", "messages": [{}, {}, {"content": "before x after"}]}, b"abcd")
def test_an_image_is_its_bytes_however_it_is_given(body: dict[str, Any], image: bytes) -> None:
    body["messages"][1]["images"] = [image]
    other = copy.deepcopy(body)
    other["messages"][1]["images"] = [base64.b64encode(image).decode()]
    assert both(other) == both(body)


@given(st.floats(-1e6, 1e6).filter(float.is_integer))
def test_a_whole_float_is_the_integer(value: float) -> None:
    one, two = ({"model": "m", "options": {"temperature": t}} for t in (value, int(value)))
    assert key(one) == key(two)


@given(st.text("ab/.\n ="), st.text("ab/.\n ="))
def test_two_texts_that_are_no_base64_are_two_images(one: str, two: str) -> None:
    """A path, say: it is taken as it is, nothing of it passed over."""
    texts = (f"{one}.png", f"{two}.png")
    first, second = (key({"model": "m", "messages": [{"images": [t]}]}) for t in texts)
    assert (first == second) is (one == two)


_SMALL = st.text("01:= ab", max_size=4)
_MESSAGES = st.lists(
    st.fixed_dictionaries({"role": _SMALL, "content": _SMALL}, optional={"thinking": _SMALL}),
    max_size=3,
)


@given(_MESSAGES, _MESSAGES)
def test_two_lists_of_messages_have_one_key_only_if_they_are_the_same(
    one: list[dict[str, str]], two: list[dict[str, str]]
) -> None:
    same = [{k: v for k, v in m.items() if v or k != "thinking"} for m in one] == [
        {k: v for k, v in m.items() if v or k != "thinking"} for m in two
    ]
    assert (key({"model": "m", "messages": one}) == key({"model": "m", "messages": two})) is same


@given(st.text("01:=user ", max_size=24), st.data())
def test_moving_the_boundary_between_two_messages_changes_the_key(
    text: str, data: st.DataObject
) -> None:
    """Texts that look like lengths and roles included."""
    places = st.integers(0, len(text))
    a, b = data.draw(places), data.draw(places)

    def split(at: int) -> dict[str, Any]:
        parts = (text[:at], text[at:])
        return {"model": "m", "messages": [{"role": "user", "content": p} for p in parts]}

    assert (key(split(a)) == key(split(b))) is (a == b)


@given(st.dictionaries(_SMALL, _SMALL, max_size=2), st.dictionaries(_SMALL, _SMALL, max_size=2))
def test_two_sets_of_options_have_one_key_only_if_they_are_the_same(
    one: dict[str, str], two: dict[str, str]
) -> None:
    assert (key({"model": "m", "options": one}) == key({"model": "m", "options": two})) is (
        one == two
    )


@given(_SMALL, _SMALL)
def test_a_named_identity_is_never_a_model(identity: str, model: str) -> None:
    named = Request(model=model, messages=(), identity=identity)
    assert query_hash(named, "", Control()) != query_hash(Request(model, ()), "", Control())
    other = Request(model=model, messages=(), identity=identity + "x")
    assert query_hash(named, "", Control()) != query_hash(other, "", Control())


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("llama3.1", "llama3.1:latest"),
        ("llama3.1:latest", "llama3.1:latest"),
        ("llama3.1:8b", "llama3.1:8b"),
        ("library/llama3.1", "llama3.1:latest"),
        ("registry.ollama.ai/library/llama3.1:8b", "llama3.1:8b"),
        ("registry.ollama.ai/me/mine", "me/mine:latest"),
        ("hf.co/me/mine-GGUF:Q4_K_M", "hf.co/me/mine-GGUF:Q4_K_M"),
        ("localhost:5000/me/mine", "localhost:5000/me/mine:latest"),
        ("", ""),
    ],
)
def test_a_model_has_one_name(name: str, full: str) -> None:
    assert normal_model(name) == full
    assert normal_model(full) == full


@given(WORD)
def test_the_tag_latest_may_be_left_out(name: str) -> None:
    assert key({"model": name}) == key({"model": f"{name}:latest"})
    assert key({"model": name}) != key({"model": f"{name}:other"})


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


BAD = {
    "a lone surrogate": "\ud800",
    "bytes that are no text": b"\xff\xfe",
    "NaN": math.nan,
    "infinity": math.inf,
    "a function": lambda: None,
    "an object": object(),
    "a set of objects": {object()},
    "a complex number": 1j,
    "a huge integer": 10**400,
    "a deep list": _nested(100_000),
    "a list with none": [None],
    "a number": 7,
    "text in a list": ["x"],
    "odd keys": {object(): "\ud800"},
}


def _places(bad: Any) -> dict[str, dict[str, Any]]:
    user = {"role": "user", "content": "x"}
    return {
        "message": {"messages": [bad]},
        "role": {"messages": [{"role": bad, "content": ""}]},
        "content": {"messages": [{"role": "user", "content": bad}]},
        "images": {"messages": [{**user, "images": bad}]},
        "image": {"messages": [{**user, "images": [bad]}]},
        "tool_calls": {"messages": [{**user, "tool_calls": bad}]},
        "tool_call": {"messages": [{**user, "tool_calls": [bad]}]},
        "function": {"messages": [{**user, "tool_calls": [{"function": bad}]}]},
        "arguments": {"messages": [{**user, "tool_calls": [{"function": {"arguments": bad}}]}]},
        "tool_call_id": {"messages": [{**user, "tool_call_id": bad}]},
        "field of a message": {"messages": [{**user, "new": bad}]},
        "options": {"options": bad},
        "option": {"options": {"temperature": bad}},
        "tools": {"tools": bad},
        "tool": {"tools": [bad]},
        "format": {"format": bad},
        "think": {"think": bad},
    }


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", _places(None))
def test_what_has_no_canonical_form_is_uncacheable_and_nothing_else(bad: str, place: str) -> None:
    body = {"model": "m", **_places(BAD[bad])[place]}
    request = request_from_body(body)
    with contextlib.suppress(UncacheableError):
        hashed = query_hash(request, "d", Control())
        assert exact_key("n", hashed, request).encode().startswith(b"aegis:v1:n:x:")


@pytest.mark.parametrize("bad", ["a lone surrogate", "NaN", "a function", "an object"])
@pytest.mark.parametrize("place", ["content", "option", "format", "tool", "arguments"])
def test_the_plainly_impossible_is_uncacheable(bad: str, place: str) -> None:
    body = {"model": "m", **_places(BAD[bad])[place]}
    with pytest.raises(UncacheableError):
        query_hash(request_from_body(body), "d", Control())


@pytest.mark.parametrize("control", [Control(tenant="\ud800"), Control(user="\ud800")])
def test_a_tenant_that_is_no_text_is_uncacheable(control: Control) -> None:
    with pytest.raises(UncacheableError, match="invalid_text"):
        query_hash(Request("m", ()), "d", control)


@pytest.mark.parametrize(
    ("model", "options", "tail"),
    [
        ("llama3.1:8b", {"temperature": 0.7}, "llama3.1:8b:0.7"),
        ("me/mine:latest", {"temperature": 0}, "me/mine:latest:0"),
        ("m:latest", {"temperature": 1.0}, "m:latest:1"),
        ("m:latest", {}, "m:latest:default"),
        ("m:latest", {"temperature": None}, "m:latest:default"),
        ("m:latest", {"temperature": "hot"}, "m:latest:?"),
        ("m:latest", {"temperature": True}, "m:latest:?"),
        ("m:latest", {"temperature": 10**400}, "m:latest:?"),
        ("", {}, "unknown:default"),
        ("a b*[c]", {}, "a_b__c_:default"),
    ],
)
def test_the_end_of_a_key_is_for_the_eyes(model: str, options: Any, tail: str) -> None:
    shown = exact_key("ns", "h", Request(model, (), {"options": options}))
    assert shown == f"aegis:v1:ns:x:h:{tail}"


@given(st.text(), st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), TEXT))
def test_the_key_in_redis_can_be_read_and_typed(model: str, temperature: Any) -> None:
    request = Request(model, (), {"options": {"temperature": temperature}})
    shown = exact_key("ns", "0" * 64, request)
    assert shown.startswith("aegis:v1:ns:x:" + "0" * 64 + ":")
    assert not any(c.isspace() or c in "*[]\\^\"'" for c in shown)
