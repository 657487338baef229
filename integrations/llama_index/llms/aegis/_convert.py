"""LlamaIndex's chat responses to answers and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

from aegis_llm.replay import pieces
from aegis_llm.values import Answer, Entry, Origin, ToolCall

_COUNTERS = (
    "total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count",
    "eval_duration",
)  # fmt: skip


def answers_of_response(response: ChatResponse) -> list[Answer]:
    """Return the answer of what `Ollama.chat` returned."""
    return _answers([response])


def answers_of_chunks(chunks: list[ChatResponse]) -> list[Answer]:
    """Return the answer of a stream's chunks, an empty list while the last is not there."""
    if not chunks or not (chunks[-1].raw or {}).get("done"):
        return []
    return _answers(chunks)


def response_of(entry: Entry, origin: Origin) -> ChatResponse:
    """Return a new response for a hit: usage zero, the origin in its `additional_kwargs`."""
    answer = entry.answer
    return ChatResponse(
        message=_message(answer.text, answer.thinking, answer.tool_calls),
        raw=_raw(entry, answer.text, answer.thinking, answer.tool_calls, done=True),
        additional_kwargs={"aegis": origin.as_dict()},
    )


def chunks_of(entry: Entry, origin: Origin) -> Iterator[ChatResponse]:
    """Replay a hit as the model would have streamed it: each message holds all up to there."""
    answer = entry.answer
    thinking = answer.thinking or ""
    if thinking:
        yield _chunk(entry, _message("", thinking), thinking=thinking)
    text = ""
    for piece in pieces(answer.text):
        text += piece
        yield _chunk(entry, _message(text, thinking), piece)
    calls = _once(answer.tool_calls)
    if calls:
        yield _chunk(entry, _message(text, thinking, calls), calls=calls)
    yield ChatResponse(
        message=_message(text, thinking, calls),
        delta="",
        raw=_raw(entry, "", None, (), done=True),
        additional_kwargs={"thinking_delta": None, "aegis": origin.as_dict()},
    )


def marked(response: ChatResponse, origin: Origin) -> ChatResponse:
    """Add the origin to a response and return it."""
    response.additional_kwargs = {**response.additional_kwargs, "aegis": origin.as_dict()}
    return response


def copy_chunk(chunk: ChatResponse) -> ChatResponse:
    """Return a chunk of its own for one reader: chat engines write into what they are given."""
    message = chunk.message
    return ChatResponse(
        message=ChatMessage(
            role=message.role,
            blocks=[block.model_copy(deep=True) for block in message.blocks],
            additional_kwargs=dict(message.additional_kwargs),
        ),
        delta=chunk.delta,
        raw=deepcopy(chunk.raw),
        logprobs=chunk.logprobs,
        additional_kwargs=dict(chunk.additional_kwargs),
    )


def _answers(parts: list[ChatResponse]) -> list[Answer]:
    """Read the server's own words: the message's blocks leave out what is said twice."""
    raws: list[Any] = [part.raw for part in parts]
    messages = [raw["message"] for raw in raws]
    last = raws[-1]
    return [
        Answer(
            text="".join(message.get("content") or "" for message in messages),
            thinking="".join(message.get("thinking") or "" for message in messages) or None,
            tool_calls=tuple(
                ToolCall(call["function"]["name"], dict(call["function"]["arguments"]))
                for message in messages
                for call in message.get("tool_calls") or ()
            ),
            done_reason=last.get("done_reason") if last.get("done") else None,
            prompt_tokens=last.get("prompt_eval_count") or 0,
            completion_tokens=last.get("eval_count") or 0,
            duration_ms=(last.get("total_duration") or 0) / 1e6,
        )
    ]


def _message(text: str, thinking: str | None, calls: Iterable[ToolCall] = ()) -> ChatMessage:
    blocks: list[Any] = [ThinkingBlock(content=thinking)] if thinking else []
    blocks.append(TextBlock(text=text))
    blocks += [ToolCallBlock(tool_name=c.name, tool_kwargs=dict(c.arguments)) for c in calls]
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def _chunk(
    entry: Entry,
    message: ChatMessage,
    delta: str = "",
    thinking: str | None = None,
    calls: tuple[ToolCall, ...] = (),
) -> ChatResponse:
    return ChatResponse(
        message=message,
        delta=delta,
        raw=_raw(entry, delta, thinking, calls, done=False),
        additional_kwargs={"thinking_delta": thinking},
    )


def _raw(
    entry: Entry, text: str, thinking: str | None, calls: tuple[ToolCall, ...], *, done: bool
) -> dict[str, Any]:
    """Return what the official client would have returned; the last with counters of zero."""
    created = datetime.fromtimestamp(entry.created_ms / 1000, UTC)
    function = ollama.Message.ToolCall.Function
    message = ollama.Message(
        role="assistant",
        content=text,
        thinking=thinking,
        tool_calls=[
            ollama.Message.ToolCall(function=function(name=c.name, arguments=dict(c.arguments)))
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


def _once(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """Return each call once, as LlamaIndex's Ollama streams them."""
    return tuple({(call.name, str(call.arguments)): call for call in calls}.values())
