"""LangChain generations to answers and back, losing nothing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from aegis_llm.values import Answer, Entry, Origin, ToolCall
from langchain_aegis._messages import new_generation, new_id, new_message

_STOP = frozenset({
    "stop", "end_turn", "STOP", "tool_calls", "tool_use", "TOOL_CALL", "function_call", "eos",
    "eos_token", "COMPLETE", "completed", "stop_sequence",
})  # fmt: skip
_REASONS = ("done_reason", "finish_reason", "stop_reason", "stopReason", "status")
_round_trip = msgspec.json.Decoder(Answer).decode


class UnstorableError(ValueError):
    """A generation holds something that would not come back equal."""


def answers_of(generations: Sequence[Generation]) -> list[Answer]:
    """Return the answers of generations.

    Raises:
        UnstorableError: One of them would not come back from JSON as it was.
    """
    return [_answer(generation) for generation in generations]


def generations_of(entry: Entry, origin: Origin) -> list[Generation]:
    """Return new generations for a hit: fresh id, usage zero, the origin in the metadata."""
    return [_generation(answer, origin) for answer in entry.answers]


def _answer(generation: Generation) -> Answer:
    info: dict[str, Any] = {"generation_info": generation.generation_info}
    if not isinstance(generation, ChatGeneration):
        return _checked(
            Answer(
                text=generation.text,
                done_reason=finish_reason(generation.generation_info),
                info=info,
            )
        )
    message = generation.message
    if not isinstance(message, AIMessage) or message.invalid_tool_calls:
        msg = f"a {type(message).__name__} that is no complete answer"
        raise UnstorableError(msg)
    usage = message.usage_metadata
    info["additional_kwargs"] = message.additional_kwargs
    info["response_metadata"] = message.response_metadata
    if message.name is not None:
        info["name"] = message.name
    if ids := [call["id"] for call in message.tool_calls]:
        info["call_ids"] = ids
    return _checked(
        Answer(
            text=message.content if isinstance(message.content, str) else "",
            blocks=None if isinstance(message.content, str) else list(message.content),
            tool_calls=tuple(ToolCall(c["name"], c["args"]) for c in message.tool_calls),
            done_reason=finish_reason(generation.generation_info)
            or finish_reason(message.response_metadata),
            prompt_tokens=usage["input_tokens"] if usage else 0,
            completion_tokens=usage["output_tokens"] if usage else 0,
            info={**info, "chat": True},
        )
    )


def _generation(answer: Answer, origin: Origin) -> Generation:
    info = answer.info or {}
    told = _dict(info.get("generation_info"))
    if not info.get("chat"):
        return Generation(text=answer.text, generation_info=told)
    name = info.get("name")
    ids = [str(uuid4()) for _ in answer.tool_calls]
    given = info.get("call_ids")
    pairs = zip(given if isinstance(given, list) else (), ids, strict=False)
    fresh = {old: new for old, new in pairs if isinstance(old, str)}
    message = new_message(
        answer.text if answer.blocks is None else _renamed(answer.blocks, fresh),
        additional_kwargs=_renamed(_dict(info.get("additional_kwargs")) or {}, fresh),
        response_metadata={
            **(_dict(info.get("response_metadata")) or {}),
            "aegis": origin.as_dict(),
        },
        tool_calls=[
            {"name": call.name, "args": call.arguments, "id": call_id, "type": "tool_call"}
            for call, call_id in zip(answer.tool_calls, ids, strict=True)
        ],
        name=name if isinstance(name, str) else None,
        id=new_id(),
    )
    return new_generation(message, told)


def _dict(value: Any) -> dict[str, Any] | None:
    """Return a dictionary as it is; what else stands in its place was not written by us."""
    return value if isinstance(value, dict) else None


def _renamed(value: Any, fresh: dict[str, str]) -> Any:
    """Return the value with the ids of tool calls replaced, wherever a provider repeats them."""
    if isinstance(value, dict):
        return {
            name: fresh.get(one, one)
            if name in ("id", "call_id", "tool_call_id") and isinstance(one, str)
            else _renamed(one, fresh)
            for name, one in value.items()
        }
    return [_renamed(one, fresh) for one in value] if isinstance(value, list) else value


def finish_reason(info: Any) -> str | None:
    """Return the finish reason in one word for all providers: `stop`, another one, or None."""
    for name in _REASONS:
        reason = (info or {}).get(name)
        if isinstance(reason, str) and reason:
            return "stop" if reason in _STOP else reason
    return None


def _checked(answer: Answer) -> Answer:
    try:
        same = _round_trip(msgspec.json.encode(answer)) == answer
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError) as exc:
        raise UnstorableError(str(exc)) from exc
    if not same:
        msg = "its metadata would not come back from JSON as it was"
        raise UnstorableError(msg)
    return answer
