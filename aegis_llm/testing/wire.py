"""Ollama's responses as JSON: field order, `omitempty`, integer nanoseconds, RFC 3339 times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

Json = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_FOREVER_S = float(2**63) / 1e9


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of one request; times in nanoseconds. A zero is left out of the JSON."""

    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """What one line of a stream adds to the answer."""

    text: str = ""
    thinking: str = ""
    tool_calls: Sequence[Json] = ()
    logprobs: Sequence[Json] = ()


def encode(value: object) -> bytes:
    """Encode as Go does: compact, with `<`, `>` and `&` escaped."""
    raw = _encode(value)
    for plain, escaped in ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e")):
        if plain in raw:
            raw = raw.replace(plain, escaped)
    return raw


def rfc3339(seconds: float) -> str:
    """Return the time as Go prints it in UTC: up to nine digits, no zeros at the end.

    Infinity is the latest expiry that Ollama can show.
    """
    if seconds == float("inf"):
        seconds = datetime.now(UTC).timestamp() + _FOREVER_S
    whole, fraction = divmod(round(seconds * 1_000_000), 1_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:06d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def nanoseconds(seconds: float) -> int:
    """Return `seconds` as whole nanoseconds, at least one: a measured time is never zero."""
    return max(1, round(seconds * 1e9))


def omit_empty(fields: Mapping[str, Any]) -> Json:
    """Return the fields without those that Go's `omitempty` drops."""
    return {name: value for name, value in fields.items() if value or isinstance(value, Mapping)}


def _metrics(metrics: Metrics | None) -> Json:
    return {} if metrics is None else omit_empty(msgspec.structs.asdict(metrics))


def chat_line(
    model: str,
    created_at: str,
    piece: Piece,
    *,
    done_reason: str = "",
    metrics: Metrics | None = None,
) -> Json:
    """Return one object of `/api/chat`; a `done_reason` makes it the last."""
    message = {"role": "assistant", "content": piece.text}
    message |= omit_empty({"thinking": piece.thinking, "tool_calls": list(piece.tool_calls)})
    return {
        "model": model,
        "created_at": created_at,
        "message": message,
        "done": bool(done_reason),
        **omit_empty({"done_reason": done_reason, "logprobs": list(piece.logprobs)}),
        **_metrics(metrics),
    }


def generate_line(
    model: str,
    created_at: str,
    piece: Piece,
    *,
    done_reason: str = "",
    metrics: Metrics | None = None,
    context: Sequence[int] = (),
) -> Json:
    """Return one object of `/api/generate`; a `done_reason` makes it the last."""
    return {
        "model": model,
        "created_at": created_at,
        "response": piece.text,
        **omit_empty({"thinking": piece.thinking}),
        "done": bool(done_reason),
        **omit_empty({"done_reason": done_reason, "context": list(context)}),
        **_metrics(metrics),
        **omit_empty({"logprobs": list(piece.logprobs)}),
    }


def tool_call(index: int, name: str, arguments: Mapping[str, Any], call_id: str) -> Json:
    """Return one entry of `message.tool_calls`."""
    function = {"index": index, "name": name, "arguments": dict(arguments)}
    return {"id": call_id, "function": function}
