"""Reads what LangChain hands to a cache: the prompt string and the llm string. Pure."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

_NAMES = ("model", "model_name", "model_id", "model_path", "deployment_name", "azure_deployment",
          "repo_id", "endpoint_name")  # fmt: skip
_NAMED = re.compile(rf"""\(['"](?:{"|".join(_NAMES)})['"], ['"][^'"]""")
_BOUND = frozenset({"tools", "functions"})
_NO_EXTRA = frozenset({"type", "text", "id", "index"})
_TOOLS_SAID = re.compile(r"""['"](?:tools|functions)['"]""")
_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant",
          "HumanMessageChunk": "user"}  # fmt: skip
_SENT = ("tool_call_id", "name", "additional_kwargs", "artifact", "status", "invalid_tool_calls")

Kind = Literal["named", "unnamed", "aegis", "opaque"]
"""What an llm string says: a model's name, none, that ChatAegis made it, or nothing readable."""


@lru_cache(maxsize=512)
def kind_of(llm_string: str) -> Kind:
    """Return what the llm string says about the model."""
    told = _literal(llm_string) if llm_string.startswith("[") else _leading_json(llm_string)
    if told is None:
        if not llm_string.startswith(("[(", "{")):
            return "opaque"
        return "named" if _NAMED.search(llm_string) else "unnamed"
    if isinstance(told, list):
        told = dict(pair for pair in told if isinstance(pair, tuple) and len(pair) == 2)
    if not isinstance(told, Mapping):
        return "opaque"
    if told.get("cached_by") == "aegis":
        return "aegis"
    inner = told.get("kwargs")
    places = (told, inner if isinstance(inner, Mapping) else {})
    found = any(isinstance(p.get(n), str) and p[n] for p in places for n in _NAMES)
    return "named" if found else "unnamed"


@lru_cache(maxsize=512)
def why_exact(llm_string: str) -> str:
    """Return why a reworded question may not hit under this llm string; empty when it may.

    With tools bound a model answers with what to do, and what a reworded question asks to be done
    may differ.
    """
    if llm_string.startswith("["):
        parts = [_literal(llm_string)]
    elif llm_string.startswith("{"):
        try:
            told, end = json.JSONDecoder().raw_decode(llm_string)
        except (ValueError, RecursionError):
            return "identity_not_parsed"
        tail = llm_string[end:].removeprefix("---")
        parts = [told, _literal(tail) if tail else ()]
    else:
        return "identity_not_parsed"
    if any(part is None for part in parts):
        return "tools_bound" if _TOOLS_SAID.search(llm_string) else "identity_not_parsed"
    return "tools_bound" if any(_binds(part) for part in parts) else ""


def messages_of(prompt: str) -> tuple[dict[str, Any], ...] | None:
    """Return the messages of a chat prompt in Ollama's shape; None when it is not one.

    Ids, response metadata and token counts of earlier answers are left out: they differ between
    runs of the same conversation and never reach a model.
    """
    told = _json(prompt) if prompt.startswith("[{") else None
    if not isinstance(told, list):
        return None
    try:
        return tuple(_message(one) for one in told)
    except (KeyError, TypeError, AttributeError):
        return None


def _message(told: dict[str, Any]) -> dict[str, Any]:
    if told.get("type") != "constructor":
        raise TypeError
    kwargs = told["kwargs"]
    kind = kwargs.get("type", told["id"][-1])
    message: dict[str, Any] = {"role": kwargs.get("role") or _ROLES.get(kind, kind)}
    content = kwargs.get("content", "")
    if isinstance(content, str):
        message["content"] = content
    else:
        texts = [b if isinstance(b, str) else b.get("text") for b in content]
        message["content"] = "\n".join(t for t in texts if isinstance(t, str))
        if any(not isinstance(b, str) and b.get("type") != "text" for b in content):
            # Where a text stands among pictures can change what it means.
            message["images"] = [msgspec.json.encode(block).decode() for block in content]
        elif any(extras := [_extra(block) for block in content]):
            message["blocks"] = extras
    if kwargs.get("tool_calls"):
        message["tool_calls"] = [
            {"id": call.get("id"), "function": {"name": call["name"], "arguments": call["args"]}}
            for call in kwargs["tool_calls"]
        ]
    for name in _SENT:
        if kwargs.get(name):
            message[name] = kwargs[name]
    return message


def _extra(block: Any) -> dict[str, Any]:
    """Return what a text block says beside its text (citations, cache marks, ...)."""
    if isinstance(block, str):
        return {}
    return {name: one for name, one in block.items() if name not in _NO_EXTRA and one}


def _binds(value: Any) -> bool:
    """Return whether tools or functions are named, and not empty, anywhere in the value."""
    if isinstance(value, Mapping):
        return any((name in _BOUND and bool(one)) or _binds(one) for name, one in value.items())
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str) and value[0] in _BOUND and value[1]:
            return True
        return any(_binds(one) for one in value)
    return isinstance(value, str) and _TOOLS_SAID.search(value) is not None


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _leading_json(text: str) -> Any:
    """Return the JSON value that a serialised model's string begins with."""
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
