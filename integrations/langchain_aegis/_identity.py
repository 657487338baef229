"""Reads what LangChain hands to a cache: the prompt string and the llm string. Pure."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import msgspec

_NAMES = ("model", "model_name", "model_id", "model_path", "deployment_name", "azure_deployment",
          "repo_id", "endpoint_name")  # fmt: skip
_NAMED = re.compile(rf"""['"](?:{"|".join(_NAMES)})['"]\s*[,:]\s*['"][^'"]""")
_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant",
          "HumanMessageChunk": "user"}  # fmt: skip

Kind = Literal["named", "unnamed", "aegis", "opaque"]
"""What an llm string says: a model's name, none, that ChatAegis made it, or nothing readable."""


@lru_cache(maxsize=512)
def kind_of(llm_string: str) -> Kind:
    """Return what the llm string says about the model."""
    head = llm_string.partition("---")[0]
    told = _literal(head) if head.startswith("[") else _json(head)
    if told is None:
        if not head.startswith(("[(", "{")):
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
        if other := [b for b in content if not isinstance(b, str) and b.get("type") != "text"]:
            message["images"] = [msgspec.json.encode(block).decode() for block in other]
    if kwargs.get("tool_calls"):
        message["tool_calls"] = [
            {"id": call.get("id"), "function": {"name": call["name"], "arguments": call["args"]}}
            for call in kwargs["tool_calls"]
        ]
    for name in ("tool_call_id", "name", "additional_kwargs", "artifact", "status"):
        if kwargs.get(name):
            message[name] = kwargs[name]
    return message


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
