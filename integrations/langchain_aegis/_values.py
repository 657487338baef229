"""What a chain takes and returns, to JSON values and back: a closed set of kinds. Pure.

Texts, numbers, lists, tuples, dictionaries by text, documents and messages. A class is never named
by what is stored: each kind has its own fields, and anything else is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.base import TextAccessor
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables.utils import AddableDict

from aegis_llm.values import Origin
from langchain_aegis._generations import UnstorableError
from langchain_aegis._messages import new_id, new_message

_AI = (AIMessage, AIMessageChunk)
_PLAIN: dict[str, type[BaseMessage]] = {"human": HumanMessage, "system": SystemMessage}
_MAIN = ("answer", "output", "result", "response", "text", "messages")
_decode = msgspec.json.Decoder().decode


def encoded(value: Any) -> Any:
    """Return a value as JSON values.

    Raises:
        UnstorableError: It holds something that would not come back as it was.
    """
    told = _told(value, as_input=False)
    try:
        same = _decode(msgspec.json.encode(told)) == told
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError) as exc:
        raise UnstorableError(str(exc)) from exc
    if not same:
        msg = "a number or text in it would not come back from JSON as it was"
        raise UnstorableError(msg)
    return told


def told_input(value: Any) -> Any:
    """Return an input as JSON values; ids and the origin of earlier answers are left out.

    Raises:
        UnstorableError: It holds something else.
    """
    return _told(value, as_input=True)


def decoded(told: Any, origin: Origin) -> Any:
    """Return a stored value anew; messages of a model get new ids, usage zero and the origin.

    Raises:
        ValueError: It was not written by `encoded`.
    """
    if isinstance(told, list):
        return [decoded(one, origin) for one in told]
    if not isinstance(told, dict):
        return told
    if not any(name.startswith("$") for name in told):
        return {name: decoded(one, origin) for name, one in told.items()}
    if len(told) != 1:
        msg = "a value of an unknown kind"
        raise ValueError(msg)
    ((kind, given),) = told.items()
    if kind == "$dict":
        return {name: decoded(one, origin) for name, one in given.items()}
    if kind == "$tuple":
        return tuple(decoded(one, origin) for one in given)
    if kind == "$document":
        text, metadata, own = given
        return Document(page_content=text, metadata=decoded(metadata, origin), id=own)
    if kind == "$message":
        return _message(*given, origin=origin)
    msg = f"a value of the unknown kind {kind}"
    raise ValueError(msg)


def text_of(value: Any) -> str:
    """Return what a person would call the answer; empty when there is none."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, BaseMessage):
        return str(value.text) or " ".join(call["name"] for call in _calls(value))
    if isinstance(value, Mapping):
        main = [value[name] for name in _MAIN if value.get(name) is not None]
        return text_of(main[0]) if main else " ".join(filter(None, map(text_of, value.values())))
    if isinstance(value, list | tuple):
        return text_of(value[-1]) if value else ""
    if isinstance(value, Document):
        return value.page_content
    return "" if value is None else str(value)


def _told(value: Any, *, as_input: bool) -> Any:
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is TextAccessor:
        return str(value)
    if kind is list:
        return [_told(one, as_input=as_input) for one in value]
    if kind is tuple:
        return {"$tuple": [_told(one, as_input=as_input) for one in value]}
    if kind in (dict, AddableDict):
        return _told_dict(value, as_input=as_input)
    if kind is Document:
        metadata = _told(value.metadata, as_input=as_input)
        return {"$document": [value.page_content, metadata, value.id]}
    if isinstance(value, BaseMessage):
        return {"$message": _told_message(value, as_input=as_input)}
    if as_input and isinstance(value, PromptValue):
        return _told(value.to_messages(), as_input=True)
    msg = f"a {kind.__module__}.{kind.__qualname__}"
    raise UnstorableError(msg)


def _told_dict(value: Mapping[Any, Any], *, as_input: bool) -> Any:
    if not all(type(name) is str for name in value):
        msg = "a dictionary with names that are no text"
        raise UnstorableError(msg)
    told = {name: _told(one, as_input=as_input) for name, one in value.items()}
    return {"$dict": told} if any(name.startswith("$") for name in told) else told


def _told_message(message: BaseMessage, *, as_input: bool) -> list[Any]:
    fields: dict[str, Any] = {
        "additional_kwargs": message.additional_kwargs,
        "name": message.name,
        "tool_calls": [[call["name"], call["args"], call["id"]] for call in _calls(message)],
    }
    if isinstance(message, ToolMessage):
        fields["tool_call_id"] = message.tool_call_id
        fields["status"] = message.status
        if message.artifact is not None:
            raise UnstorableError("a tool message with an artifact")
    if not as_input:
        metadata = message.response_metadata
        fields["response_metadata"] = {n: one for n, one in metadata.items() if n != "aegis"}
    kind = "ai" if isinstance(message, _AI) else message.type
    known = (*_AI, ToolMessage, *_PLAIN.values())
    if type(message) not in known or getattr(message, "invalid_tool_calls", None):
        msg = f"a {type(message).__name__} that is no complete message"
        raise UnstorableError(msg)
    told = {name: _told(one, as_input=as_input) for name, one in fields.items() if one}
    return [kind, _told(message.content, as_input=as_input), told]


def _calls(message: BaseMessage) -> list[Any]:
    calls: list[Any] = getattr(message, "tool_calls", None) or []
    return calls


def _message(kind: str, content: Any, fields: dict[str, Any], *, origin: Origin) -> BaseMessage:
    given = {name: decoded(one, origin) for name, one in fields.items()}
    calls = [
        {"name": name, "args": args, "id": own, "type": "tool_call"}
        for name, args, own in given.pop("tool_calls", ())
    ]
    content = decoded(content, origin)
    if kind == "ai":
        return new_message(
            content,
            tool_calls=calls,
            additional_kwargs=given.get("additional_kwargs", {}),
            response_metadata={
                **given.get("response_metadata", {}),
                "aegis": origin.as_dict(),
            },
            name=given.get("name"),
            id=new_id(),
        )
    if kind == "tool":
        return ToolMessage(content=content, **given)
    return _PLAIN[kind](content=content, **given)
