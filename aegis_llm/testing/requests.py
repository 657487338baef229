"""Check request bodies as Ollama does, with its statuses and texts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from aegis_llm.config.go_values import FOREVER, go_duration
from aegis_llm.testing.wire import Json

_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\r\n]|=(?!=?$)")

_STRING, _BOOL, _INT, _LIST, _MAP, _ANY = "string", "bool", "int", "list", "map", "any"
_COMMON = {
    "model": (_STRING, "string"),
    "options": (_MAP, "map[string]interface {}"),
}
_GENERATING = _COMMON | {
    "stream": (_BOOL, "bool"),
    "truncate": (_BOOL, "bool"),
    "shift": (_BOOL, "bool"),
    "logprobs": (_BOOL, "bool"),
    "top_logprobs": (_INT, "int"),
}
_SHAPES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "/api/chat": (
        "ChatRequest",
        _GENERATING | {"messages": (_LIST, "[]api.Message"), "tools": (_LIST, "api.Tools")},
    ),
    "/api/generate": (
        "GenerateRequest",
        _GENERATING
        | {
            "prompt": (_STRING, "string"),
            "suffix": (_STRING, "string"),
            "system": (_STRING, "string"),
            "template": (_STRING, "string"),
            "context": (_LIST, "[]int"),
            "raw": (_BOOL, "bool"),
            "images": (_LIST, "[]api.ImageData"),
        },
    ),
    "/api/embed": (
        "EmbedRequest",
        _COMMON | {"truncate": (_BOOL, "bool"), "dimensions": (_INT, "int")},
    ),
    "/api/embeddings": ("EmbeddingRequest", _COMMON | {"prompt": (_STRING, "string")}),
    "/api/show": (
        "ShowRequest",
        _COMMON | {"name": (_STRING, "string"), "verbose": (_BOOL, "bool")},
    ),
}
_INTEGERS = """
num_ctx num_batch num_gpu main_gpu num_thread draft_num_predict num_keep seed num_predict top_k
repeat_last_n
"""
_FLOATS = """
top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty
"""
_OPTIONS = {
    **dict.fromkeys(_INTEGERS.split(), "integer"),
    **dict.fromkeys(_FLOATS.split(), "float32"),
    "use_mmap": "boolean",
    "stop": "array",
}
_THINK_LEVELS = ("high", "medium", "low", "max")


class RefusedError(Exception):
    """The server answers with an error instead of doing the work."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status
        self.text = text
        self.content_type = "application/json; charset=utf-8"


def parse(route: str, raw: bytes) -> Json:
    """Return the body as an object whose known fields have the right types.

    Raises:
        RefusedError: 400 with the text of Go's decoder.
    """
    if not raw.strip():
        raise RefusedError(400, "missing request body")
    body = _decode(raw)
    if body is None:
        body = {}
    struct, fields = _SHAPES[route]
    if not isinstance(body, dict):
        raise RefusedError(
            400, f"json: cannot unmarshal {_go_kind(body)} into Go value of type api.{struct}"
        )
    for name, (kind, go_type) in fields.items():
        value = body.get(name)
        if value is not None and not _is(kind, value):
            raise RefusedError(
                400,
                f"json: cannot unmarshal {_go_kind(value)} into Go struct field "
                f"{struct}.{name} of type {go_type}",
            )
    if route == "/api/chat":
        for message in body.get("messages") or ():
            _check_message(message)
    if route != "/api/show":
        keep_alive(body.get("keep_alive"))
    if route in ("/api/chat", "/api/generate"):
        _check_generating(body)
    return body


def _check_generating(body: Json) -> None:
    _check_images(body.get("images"))
    _check_think(body.get("think"))
    if not 0 <= (body.get("top_logprobs") or 0) <= 20:
        raise RefusedError(400, "top_logprobs must be between 0 and 20")


def keep_alive(value: object) -> float | None:
    """Return the seconds to stay loaded: infinity for a negative value, None for null.

    Raises:
        RefusedError: 400 for a string without a unit or another type.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        name = {bool: "bool", list: "[]interface {}"}.get(type(value), "map[string]interface {}")
        raise RefusedError(400, f"Unsupported type: '{name}'")
    try:
        seconds = go_duration(value) if isinstance(value, str) else float(value)
    except ValueError as error:
        raise RefusedError(400, str(error)) from error
    return FOREVER if seconds < 0 else seconds


def check_options(options: Mapping[str, Any] | None) -> Json:
    """Return the options that are set.

    Raises:
        RefusedError: 500 for a value of the wrong type, as Ollama answers.
    """
    kept: Json = {}
    for name, value in (options or {}).items():
        kind = _OPTIONS.get(name)
        if kind is None or value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = {
            "integer": number,
            "float32": number,
            "boolean": isinstance(value, bool),
            "array": isinstance(value, list),
        }[kind]
        if not fits:
            raise RefusedError(500, f'option "{name}" must be of type {kind}')
        if kind == "array" and not all(isinstance(item, str) for item in value):
            raise RefusedError(500, f'option "{name}" must be of an array of strings')
        kept[name] = int(value) if kind == "integer" else value
    return kept


def _decode(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except ValueError:  # bad JSON, or bytes that are not UTF-8
        pass
    text = raw.decode("utf-8", "replace").lstrip()
    try:
        # Go's decoder reads one value and leaves what follows it.
        return json.JSONDecoder().raw_decode(text)[0]
    except json.JSONDecodeError as error:
        raise RefusedError(400, _syntax_error(error)) from None


def _syntax_error(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    if not rest or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    literal = next((one for one in ("null", "true", "false") if one[0] == rest[0]), None)
    if literal and not rest.startswith(literal):
        place = next(i for i, c in enumerate(literal) if rest[i : i + 1] != c)
        if place >= len(rest):
            return "unexpected EOF"
        found, wanted = rest[place], literal[place]
        return f"invalid character {found!r} in literal {literal} (expecting {wanted!r})"
    where = {
        "Expecting property name enclosed in double quotes": (
            "looking for beginning of object key string"
        ),
        "Expecting ':' delimiter": "after object key",
        "Expecting ',' delimiter": "after object key:value pair",
    }.get(error.msg, "looking for beginning of value")
    return f"invalid character {rest[0]!r} {where}"


def _is(kind: str, value: object) -> bool:
    if kind == _INT:
        return isinstance(value, int) and not isinstance(value, bool)
    types = {_STRING: str, _BOOL: bool, _LIST: list, _MAP: dict}
    return isinstance(value, types[kind])


def _go_kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float):
        return f"number {value:g}" if value != int(value) else "number"
    return {int: "number", str: "string", list: "array", dict: "object"}.get(type(value), "null")


def _check_message(message: object) -> None:
    if not isinstance(message, dict):
        raise RefusedError(
            400,
            f"json: cannot unmarshal {_go_kind(message)} into Go struct field "
            "ChatRequest.messages of type api.Alias",
        )
    for name in ("role", "content"):
        value = message.get(name)
        if value is not None and not isinstance(value, str):
            raise RefusedError(
                400,
                f"json: cannot unmarshal {_go_kind(value)} into Go struct field "
                f"ChatRequest.messages.{name} of type string",
            )
    _check_images(message.get("images"))


def _check_images(images: object) -> None:
    for image in images if isinstance(images, list) else ():
        if not isinstance(image, str):
            continue
        bad = _NOT_BASE64.search(image)
        if bad or len(image) % 4:
            place = bad.start() if bad else len(image)
            raise RefusedError(400, f"illegal base64 data at input byte {place}")


def _check_think(value: object) -> None:
    if value is None or isinstance(value, bool) or value in _THINK_LEVELS:
        return
    levels = ", ".join(f'"{level}"' for level in _THINK_LEVELS)
    if isinstance(value, str):
        raise RefusedError(
            400, f'invalid think value: "{value}" (must be {levels}, true, or false)'
        )
    raise RefusedError(400, f"think must be a boolean or string ({levels}, true, or false)")
