"""Reading pairs of questions that a person labelled, JSON lines with `a`, `b` and `same`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from aegis_llm.errors import ConfigError
from aegis_llm.window import fits_window

_FIELDS = ("a", "b", "same")


class Pair(msgspec.Struct, frozen=True):
    """Two questions, and whether the answer to one is a right answer to the other."""

    a: str
    b: str
    same: bool


def read_pairs(lines: Iterable[bytes], name: str, tokens: int = 256) -> list[Pair]:
    """Return the pairs of a file; blank lines are passed over.

    Raises:
        ConfigError: A line is not usable, or there is none; the message names the file and line.
    """
    pairs: list[Pair] = []
    seen: dict[frozenset[str], int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        pair = _pair(line, where, tokens)
        key = frozenset((pair.a, pair.b))
        if key in seen:
            _refuse(where, f"the same two questions as in line {seen[key]}; keep one of the lines")
        seen[key] = number
        pairs.append(pair)
    if not pairs:
        _refuse(name, 'no pairs; write one a line: {"a": "...", "b": "...", "same": true}')
    return pairs


def _pair(line: bytes, where: str, tokens: int) -> Pair:
    told: Any = None
    try:
        told = msgspec.json.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        _refuse(where, "no JSON (in UTF-8)")
    if not isinstance(told, dict):
        _refuse(where, 'no JSON object; write {"a": "...", "b": "...", "same": true}')
    for field in _FIELDS:
        if field not in told:
            _refuse(where, f"{field!r} is missing")
    for field in ("a", "b"):
        text = told[field]
        if not isinstance(text, str):
            _refuse(where, f"{field!r} is no text")
        if not text.strip():
            _refuse(where, f"{field!r} is empty")
        if not fits_window(text, tokens):
            _refuse(
                where,
                f"{field!r} is longer than {tokens} tokens, which no embedder is sure to read",
            )
    if not isinstance(told["same"], bool):
        _refuse(where, "'same' is neither true nor false")
    return Pair(told["a"].strip(), told["b"].strip(), told["same"])


def _refuse(where: str, why: str) -> None:
    msg = f"{where}: {why}"
    raise ConfigError(msg)
