"""Replies of Redis in every shape, and errors to reasons."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import redis.exceptions as errors
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.plan import SemanticRecord
from aegis_llm.stores.redis_commands import (
    counts_for_breaker,
    entries_of,
    parse_count,
    parse_search,
    reason_of,
    semantic_fields,
    set_exact,
)

RESP2 = [2, b"k1", [b"vector_distance", b"0.25", b"value", b"one"],
         b"k2", [b"value", b"two", b"vector_distance", b"1"]]  # fmt: skip
RESP3 = {
    b"total_results": 2,
    b"results": [
        {b"id": b"k1", b"extra_attributes": {b"vector_distance": b"0.25", b"value": b"one"}},
        {b"id": b"k2", b"extra_attributes": {b"value": b"two", b"vector_distance": b"1"}},
    ],
    b"warning": [],
}


def as_text(reply: Any) -> Any:
    """The reply as a client with `decode_responses` returns it."""
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, list):
        return [as_text(one) for one in reply]
    if isinstance(reply, dict):
        return {as_text(name): as_text(value) for name, value in reply.items()}
    return reply


@pytest.mark.parametrize("reply", [RESP2, RESP3, as_text(RESP2), as_text(RESP3), tuple(RESP2)])
def test_a_search_reply_is_read_in_every_shape(reply: Any) -> None:
    assert parse_search(reply) == [(b"one", 0.75), (b"two", 0.0)]
    assert parse_count(reply) == 2


@pytest.mark.parametrize(
    "reply",
    [
        [0], (), [], {}, None, b"", 7, {b"results": []}, {b"results": None}, [1, b"k"],
        [1, b"k", None], [1, b"k", [b"value", b"x"]], [1, b"k", [b"vector_distance", b"0.1"]],
        [1, b"k", [b"value"]], [1, b"k", [b"value", None, b"vector_distance", b"0.1"]],
        [1, b"k", [b"value", b"x", b"vector_distance", b"far"]],
        [1, b"k", [b"value", b"x", b"vector_distance", [b"0.1"]]],
        {b"results": [{}]}, {b"results": [None]}, {b"results": 7},
        {b"results": [{b"extra_attributes": None}]},
        {b"results": [{b"extra_attributes": [b"value", b"x"]}]},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_entry_is_left_out(reply: Any) -> None:
    assert parse_search(reply) == []


def test_one_broken_row_does_not_cost_the_others() -> None:
    reply = [2, b"k0", [b"value", b"x"], b"k1", [b"vector_distance", b"0", b"value", b"good"]]
    assert parse_search(reply) == [(b"good", 1.0)]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=8) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([b"results", b"extra_attributes", b"total_results", b"value"]), inner
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(JUNK)
def test_junk_is_never_an_error(reply: Any) -> None:
    for value, similarity in parse_search(reply):
        assert isinstance(value, bytes)
        assert isinstance(similarity, float)


@pytest.mark.parametrize(("reply", "count"), [([0], 0), ([7], 7), ({b"total_results": 3}, 3),
                                              ({}, 0), (None, 0), ([], 0)])  # fmt: skip
def test_a_count_is_read_in_every_shape(reply: Any, count: int) -> None:
    assert parse_count(reply) == count


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (errors.TimeoutError("Timeout reading from socket"), "redis_timeout"),
        (TimeoutError(), "redis_timeout"),
        (socket.timeout(), "redis_timeout"),  # noqa: UP041 - the old name is the same class
        (errors.ConnectionError("Error 111 connecting"), "redis_down"),
        (ConnectionRefusedError(), "redis_down"),
        (BrokenPipeError(), "redis_down"),
        (FileNotFoundError("/run/redis.sock"), "redis_down"),
        (errors.RedisClusterException("no node"), "redis_down"),
        (errors.MaxConnectionsError("too many"), "redis_down"),
        (errors.BusyLoadingError("LOADING"), "redis_loading"),
        (errors.AuthenticationError("x"), "redis_auth"),
        (errors.ResponseError("NOAUTH Authentication required."), "redis_auth"),
        (errors.ResponseError("WRONGPASS invalid"), "redis_auth"),
        (errors.OutOfMemoryError("command not allowed"), "redis_full"),
        (errors.ResponseError("OOM command not allowed"), "redis_full"),
        (errors.ReadOnlyError("You can't write"), "redis_readonly"),
        (errors.ResponseError("MISCONF Redis is configured to save"), "redis_readonly"),
        (errors.NoPermissionError("x"), "redis_no_permission"),
        (errors.ResponseError("NOPERM this user"), "redis_no_permission"),
        (errors.ResponseError("aegis:i: no such index"), "index_missing"),
        (errors.ResponseError("Unknown Index name"), "index_missing"),
        (errors.ResponseError("WRONGTYPE Operation"), "foreign_value"),
        (errors.ResponseError("unknown command 'FT.SEARCH', with args"), "no_query_engine"),
        (errors.ResponseError("ERR syntax error"), "redis_error"),
        (ZeroDivisionError(), "redis_error"),
    ],
    ids=lambda v: repr(v)[:40],
)
def test_every_error_has_a_short_reason(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_only_trouble_with_the_connection_opens_the_breaker() -> None:
    opening = {"redis_timeout", "redis_down", "redis_auth", "redis_loading"}
    others = {"redis_full", "redis_readonly", "index_missing", "foreign_value",
              "no_query_engine", "redis_no_permission", "redis_error"}  # fmt: skip
    assert all(counts_for_breaker(reason) for reason in opening)
    assert not any(counts_for_breaker(reason) for reason in others)


def test_a_value_and_its_expiry_are_one_command() -> None:
    assert set_exact("k", b"v", 1500) == ("SET", "k", b"v", "PX", 1500)


def test_a_semantic_entry_carries_everything_that_later_features_look_for() -> None:
    record = SemanticRecord(
        entry_id="e", scope="s", question="q", vector=b"vec", tenant="t", model="m:latest",
        tags=("a", "b c"), documents=("d",), created_ms=7,
    )  # fmt: skip
    fields = semantic_fields(record, "exact key", b"data")
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == {
        "scope": "s", "vector": b"vec", "value": b"data", "question": "q", "tenant": "t",
        "model": "m:latest", "tags": "a\x1fb c", "documents": "d", "created": 7,
        "exact": "exact key",
    }  # fmt: skip


def test_the_pattern_of_a_namespace_has_no_room_for_another() -> None:
    pattern = entries_of("ns")
    assert pattern.count("*") == 1
    assert pattern.endswith(":ns:[xs]:*")
