"""The key tells every two vectors apart that can differ, and no bytes but its own are a vector."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aegis_llm.keys import UncacheableError, vector_key, vector_space
from aegis_llm.vectors import codec

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
FLOATS = st.lists(
    st.floats(-1e3, 1e3, width=32, allow_subnormal=False), min_size=1, max_size=40
).filter(lambda numbers: any(abs(n) > 1e-6 for n in numbers))
NAME = st.sampled_from(["num_ctx", "temperature", "num_thread", "rope_scale", "seed"])
OPTIONS = st.dictionaries(NAME, st.none() | st.integers(0, 9) | st.floats(0, 1), max_size=4)
SPACES = st.tuples(TEXT, OPTIONS, st.none() | st.integers(1, 2048))
KEY = vector_key("ns", "s", "all-minilm:latest", "a text")
OTHER = vector_key("ns", "s", "all-minilm:latest", "another")


def telling(space: Any) -> Any:
    """What of digest, options and dimension can change a vector."""
    digest, options, dimensions = space
    told = {n: v for n, v in options.items() if n in ("num_ctx", "rope_scale") and v is not None}
    return digest, told, dimensions


@given(SPACES, SPACES)
def test_two_spaces_are_one_where_nothing_tells_their_vectors_apart(one: Any, two: Any) -> None:
    same = telling(one) == telling(two)
    assert (vector_space(*one) == vector_space(*two)) is same


@given(TEXT, TEXT, TEXT, TEXT)
def test_two_keys_are_one_where_space_and_text_are(
    space: str, text: str, other: str, its_text: str
) -> None:
    one, two = vector_key("ns", space, "m", text), vector_key("ns", other, "m", its_text)
    assert (one == two) is ((space, text) == (other, its_text))


@given(TEXT, TEXT)
def test_nothing_moves_from_the_space_into_the_text(space: str, text: str) -> None:
    whole = space + text
    keys = {vector_key("ns", whole[:n], "m", whole[n:]) for n in range(len(whole) + 1)}
    assert len(keys) == len(whole) + 1


@given(TEXT, TEXT)
def test_a_key_has_the_form_of_all_keys(text: str, model: str) -> None:
    key = vector_key("my-app.1", "s", model, text)
    assert re.fullmatch(r"aegis:v1:my-app\.1:v:[0-9a-f]{64}:[^\s]+", key)
    assert codec.decode(key, codec.encode(key, codec.pack([1.0]))) == codec.pack([1.0])


@pytest.mark.parametrize("space", [("d", {"num_ctx": math.nan}, None), ("d\ud800", {}, None)])
def test_what_has_no_canonical_form_has_no_space(space: Any) -> None:
    with pytest.raises(UncacheableError):
        vector_space(*space)


def test_a_lone_surrogate_has_no_key() -> None:
    with pytest.raises(UncacheableError):
        vector_key("ns", "s", "m", "\ud800")


@given(FLOATS)
def test_a_vector_comes_back_as_it_was(numbers: list[float]) -> None:
    vector = codec.pack(numbers)
    assert codec.decode(KEY, codec.encode(KEY, vector)) == vector
    assert codec.unpack(vector) == numbers
    assert codec.dimension(vector) == len(numbers)


@given(st.binary(max_size=200))
def test_any_bytes_are_none(data: bytes) -> None:
    assert codec.decode(KEY, data) is None


@given(FLOATS)
def test_the_vector_of_another_text_is_none(numbers: list[float]) -> None:
    assert codec.decode(OTHER, codec.encode(KEY, codec.pack(numbers))) is None


@given(FLOATS, st.data())
def test_a_value_cut_short_or_with_more_behind_it_is_none(
    numbers: list[float], data: st.DataObject
) -> None:
    whole = codec.encode(KEY, codec.pack(numbers))
    assert codec.decode(KEY, whole[: data.draw(st.integers(0, len(whole) - 1))]) is None
    assert codec.decode(KEY, whole + data.draw(st.binary(min_size=1, max_size=8))) is None


@given(FLOATS, st.data())
def test_a_damaged_byte_is_none(numbers: list[float], data: st.DataObject) -> None:
    whole = codec.encode(KEY, codec.pack(numbers))
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:place] + bytes([data.draw(st.integers(0, 255))]) + whole[place + 1 :]
    assume(damaged != whole)
    assert codec.decode(KEY, damaged) is None


@pytest.mark.parametrize(
    "numbers", [[], [0.0], [0.0] * 9, [math.nan], [1.0, math.inf], [1e39, 1.0], [-math.inf]]
)
def test_what_has_no_length_or_no_end_is_no_vector(numbers: list[float]) -> None:
    vector = codec.pack(numbers)
    assert not codec.sound(vector)
    assert codec.decode(KEY, codec.encode(KEY, vector)) is None


def test_a_vector_takes_four_bytes_a_number_and_twenty_more() -> None:
    assert len(codec.encode(KEY, np.ones(384, "<f4").tobytes())) == 4 * 384 + 20
