"""What was encoded comes back equal; nothing else is ever taken for an entry."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.codec import decode, encode
from aegis_llm.values import Answer, Entry, ToolCall

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
COUNT = st.integers(0, 2**40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
ANSWERS = st.builds(
    Answer,
    text=TEXT,
    thinking=st.none() | TEXT,
    tool_calls=st.lists(st.builds(ToolCall, name=TEXT, arguments=OBJECT), max_size=2).map(tuple),
    done_reason=st.none() | TEXT,
    logprobs=st.none() | st.lists(OBJECT, max_size=2),
    prompt_tokens=COUNT,
    completion_tokens=COUNT,
    duration_ms=st.floats(0, 1e9),
    blocks=st.none() | st.lists(JSON, max_size=2),
    info=st.none() | OBJECT,
)
WORDS = st.lists(TEXT, max_size=2).map(tuple)
ENTRIES = st.builds(
    Entry,
    key=TEXT,
    answers=st.lists(ANSWERS, min_size=1, max_size=2).map(tuple),
    created_ms=COUNT,
    expires_ms=COUNT,
    model=TEXT,
    digest=TEXT,
    scope=TEXT,
    question=st.none() | TEXT,
    tags=WORDS,
    documents=WORDS,
)
PLAIN = Entry(key="k", answers=(Answer(text="a"),), created_ms=1, expires_ms=2)


def altered(**changes: Any) -> bytes:
    """The bytes of an entry with fields of its JSON replaced."""
    return json.dumps(json.loads(encode(PLAIN)) | changes).encode()


@given(ENTRIES)
def test_an_entry_comes_back_equal(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_none(data: bytes) -> None:
    assert decode(data) is None


@given(JSON)
def test_any_other_json_is_none(value: Any) -> None:
    assert decode(msgspec.json.encode(value)) is None


@given(ENTRIES, st.data())
def test_a_value_cut_short_is_none(entry: Entry, data: st.DataObject) -> None:
    whole = encode(entry)
    assert decode(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(ENTRIES, st.binary(min_size=1, max_size=8).filter(lambda b: b.strip(b" \t\r\n")))
def test_a_value_with_more_behind_it_is_none(entry: Entry, more: bytes) -> None:
    assert decode(encode(entry) + more) is None


@given(ENTRIES, st.data())
def test_one_damaged_byte_never_raises(entry: Entry, data: st.DataObject) -> None:
    damaged = bytearray(encode(entry))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read = decode(bytes(damaged))
    assert read is None or read.answers


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2}, {"v": 0}, {"v": "1"}, {"v": None}, {"v": True},
        {"answers": []}, {"answers": None}, {"answers": [{"text": 1}]}, {"answers": [None]},
        {"key": None}, {"key": 1}, {"created_ms": "1"}, {"expires_ms": None},
        {"expires_ms": 10**400}, {"created_ms": -(10**400)}, {"expires_ms": 1.5},
        {"question": 1}, {"tags": [1]}, {"documents": "x"},
    ],
    ids=lambda c: repr(c)[:40],
)  # fmt: skip
def test_an_entry_of_another_schema_is_none(changes: dict[str, Any]) -> None:
    assert decode(altered()) == PLAIN
    assert decode(altered(**changes)) is None


@pytest.mark.parametrize("field", ["key", "answers", "created_ms", "expires_ms"])
def test_an_entry_without_a_needed_field_is_none(field: str) -> None:
    told = json.loads(encode(PLAIN))
    del told[field]
    assert decode(json.dumps(told).encode()) is None


def test_a_field_of_a_later_release_is_passed_over() -> None:
    assert decode(altered(later={"x": [1]})) == PLAIN


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_endless_nesting_is_none(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    data = encode(PLAIN).replace(b'{"text":"a"}', b'{"text":"a","blocks":[%b]}' % nested)
    assert b"blocks" in data
    assert decode(data) is None
    assert decode(nested) is None


def _deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(200_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "answer",
    [
        Answer(text="\ud800"),
        Answer(info={"x": object()}),
        Answer(info={"x": {(1, 2): 3}}),
        Answer(blocks=[1j]),
        Answer(tool_calls=(ToolCall("f", {"x": {object()}}),)),
        Answer(blocks=_deep()),
    ],
    ids=["surrogate", "object", "key", "complex", "set", "deep"],
)
def test_an_answer_that_json_cannot_carry_is_a_value_error(answer: Answer) -> None:
    entry = Entry(key="k", answers=(answer,), created_ms=1, expires_ms=2)
    with pytest.raises(ValueError, match="the answer cannot be stored"):
        encode(entry)


def test_nothing_but_plain_values_comes_out() -> None:
    """No class is named in a value, so none can be made by one."""
    planted = {"__class__": "os.system", "py/object": "os.system", "lc": 1, "type": "constructor"}
    entry = Entry(
        key="k",
        answers=(Answer(info=planted, blocks=[planted]),),
        created_ms=1,
        expires_ms=2,
    )
    read = decode(encode(entry))
    assert read is not None
    assert read.answer.info == planted
    assert type(read.answer.blocks[0]) is dict  # type: ignore[index]
