"""New messages for hits."""

from __future__ import annotations

import os
from copy import copy
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration

_EMPTY = AIMessage(content="")
_GENERATION = ChatGeneration(message=_EMPTY)


def new_message(
    content: str | list[Any],
    *,
    tool_calls: list[Any],
    additional_kwargs: dict[str, Any],
    response_metadata: dict[str, Any] | None = None,
    name: str | None = None,
    id: str | None = None,
) -> AIMessage:
    """Return an assistant's message with usage zero.

    Plain text needs no validation, which would take most of the time that a hit takes here.
    """
    fields: dict[str, Any] = {
        "content": content,
        "additional_kwargs": additional_kwargs,
        "response_metadata": {} if response_metadata is None else response_metadata,
        "tool_calls": tool_calls,
        "usage_metadata": UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0),
        "name": name,
        "id": id,
    }
    if tool_calls or not isinstance(content, str):
        return AIMessage(**fields)
    fields["invalid_tool_calls"] = []
    message = copy(_EMPTY)
    message.__dict__.update(fields)
    return message


def new_generation(message: AIMessage, info: dict[str, Any] | None) -> ChatGeneration:
    """Return the generation of a message; see `new_message`."""
    if not isinstance(message.content, str):
        return ChatGeneration(message=message, generation_info=info)
    generation = copy(_GENERATION)
    generation.__dict__.update(text=message.content, message=message, generation_info=info)
    return generation


def new_id() -> str:
    """Return an id that no other message has."""
    return f"lc_run--{os.urandom(16).hex()}"
