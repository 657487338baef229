"""LlamaIndex's chat responses to answers and back."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import ollama
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from aegis_llm.values import Answer, Entry, Origin, ToolCall
from llama_index.llms.aegis._events import tell_dispatcher

_COUNTERS = (
    "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count",
    "eval_duration",
)  # fmt: skip


def answers_of_response(response: ChatResponse) -> list[Answer]:
    """Return the answer of what `Ollama.chat` returned."""
    return [answer_of_raws([response.raw])]


def response_of(entry: Entry) -> ChatResponse:
    """Return a new response for a hit, with a usage of zero."""
    answer = entry.answer
    return ChatResponse(
        message=_message(answer.text, answer.thinking, answer.tool_calls),
        raw=raw_of(entry, answer.text, answer.thinking, answer.tool_calls, done=True),
    )


def marked(response: ChatResponse, origin: Origin) -> ChatResponse:
    """Add the origin to a response, tell the instrumentation of it, and return the response."""
    tell_dispatcher(origin)
    response.additional_kwargs = {**response.additional_kwargs, "aegis": origin.as_dict()}
    return response


def answer_of_raws(raws: list[Any]) -> Answer:
    """Read the server's own words: the message's blocks leave out what is said twice."""
    messages = [raw["message"] for raw in raws]
    last = raws[-1]
    return Answer(
        text="".join(message.get("content") or "" for message in messages),
        thinking="".join(message.get("thinking") or "" for message in messages) or None,
        tool_calls=tuple(
            ToolCall(call["function"]["name"], deepcopy(dict(call["function"]["arguments"])))
            for message in messages
            for call in message.get("tool_calls") or ()
        ),
        done_reason=last.get("done_reason") if last.get("done") else None,
        prompt_tokens=last.get("prompt_eval_count") or 0,
        completion_tokens=last.get("eval_count") or 0,
        duration_ms=(last.get("total_duration") or 0) / 1e6,
    )


def _message(text: str, thinking: str | None, calls: Iterable[ToolCall] = ()) -> ChatMessage:
    blocks: list[Any] = [ThinkingBlock(content=thinking)] if thinking else []
    blocks.append(TextBlock(text=text))
    blocks += [ToolCallBlock(tool_name=c.name, tool_kwargs=deepcopy(c.arguments)) for c in calls]
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def raw_of(
    entry: Entry, text: str, thinking: str | None, calls: tuple[ToolCall, ...], *, done: bool
) -> dict[str, Any]:
    """Return what the official client would have returned; the last with counters of zero."""
    created = datetime.fromtimestamp(entry.created_ms / 1000, UTC)
    call = ollama.Message.ToolCall
    message = ollama.Message(
        role="assistant",
        content=text,
        thinking=thinking,
        tool_calls=[
            call(function=call.Function(name=c.name, arguments=deepcopy(c.arguments)))
            for c in calls
        ]
        or None,
    )
    raw = dict(
        ollama.ChatResponse(
            model=entry.model,
            created_at=created.isoformat().replace("+00:00", "Z"),
            done=done,
            done_reason=entry.answer.done_reason if done else None,
            message=message,
        )
    )
    if done:
        raw.update(dict.fromkeys(_COUNTERS, 0))
        raw["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return raw
