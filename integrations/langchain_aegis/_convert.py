"""LangChain's messages to answers and back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from ollama import ChatResponse

from aegis_llm.replay import pieces
from aegis_llm.values import Answer, Entry, Origin, ToolCall
from langchain_aegis._messages import new_message

_NOTHING_SPENT = {
    "total_duration": 0,
    "load_duration": 0,
    "prompt_eval_count": 0,
    "prompt_eval_duration": 0,
    "eval_count": 0,
    "eval_duration": 0,
}


def answers_of_result(result: ChatResult) -> list[Answer]:
    """Return the answer of what ChatOllama generated."""
    return [_answer(generation) for generation in result.generations]


def answers_of_chunks(chunks: list[ChatGenerationChunk]) -> list[Answer]:
    """Return the answer of a stream's chunks, an empty list while the last is not there."""
    if not chunks or not (chunks[-1].generation_info or {}).get("done"):
        return []
    whole = chunks[0]
    if len(chunks) > 1:
        whole = whole + chunks[1:]
    return [_answer(whole)]


def copy_chunk(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """Return a chunk of its own for one reader: LangChain and users write into it."""
    message, info = chunk.message, chunk.generation_info
    if message.additional_kwargs or getattr(message, "tool_calls", None) or info:
        message = message.model_copy(deep=True)
    else:
        message = message.model_copy()
        for name, value in message.__dict__.items():
            if isinstance(value, dict | list):
                message.__dict__[name] = value.copy()  # an empty one can be written into, too
    return ChatGenerationChunk(message=message, generation_info=deepcopy(info))


def spared(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """Return the last chunk of another request's stream for a follower: usage zero."""
    info = {**(chunk.generation_info or {}), **_NOTHING_SPENT}
    message = chunk.message.model_copy(update={"usage_metadata": _no_usage()})
    return ChatGenerationChunk(message=message, generation_info=info)


def result_of(entry: Entry, origin: Origin, *, thinking: bool) -> ChatResult:
    """Return a new result for a hit: no id yet, usage zero, the origin in its metadata.

    What the model thought is shown only with `thinking`, as ChatOllama does.
    """
    answer = entry.answer
    message = new_message(
        answer.text, additional_kwargs=_thinking(answer, thinking), tool_calls=_tool_calls(answer)
    )
    generation = ChatGeneration(message=message, generation_info=_info(entry, origin))
    return ChatResult(generations=[generation])


def chunks_of(entry: Entry, origin: Origin, *, thinking: bool) -> Iterator[ChatGenerationChunk]:
    """Replay a hit as the model would have streamed it; see `result_of`.

    An entry that cannot be replayed raises here, not at the first chunk.
    """
    info = _info(entry, origin)
    return _replayed(entry.answer, _thinking(entry.answer, thinking), info)


def with_origin(info: Mapping[str, Any] | None, origin: Origin) -> dict[str, Any]:
    """Return a generation's info with the origin added."""
    return {**(info or {}), "aegis": origin.as_dict()}


def _replayed(
    answer: Answer, thought: dict[str, Any], info: dict[str, Any]
) -> Iterator[ChatGenerationChunk]:
    if thought:
        yield _chunk("", additional_kwargs=thought)
    for piece, logprobs in _pieces(answer, info["logprobs"]):
        chunk = _chunk(piece)
        chunk.generation_info = None if logprobs is None else {"logprobs": logprobs}
        yield chunk
    last = _chunk("", tool_calls=_tool_calls(answer), usage_metadata=_no_usage())
    last.generation_info = {**info, "logprobs": None}
    yield last


def _answer(generation: ChatGeneration) -> Answer:
    info = generation.generation_info or {}
    message = generation.message
    calls = getattr(message, "tool_calls", None) or ()
    return Answer(
        text=str(message.text),
        thinking=message.additional_kwargs.get("reasoning_content"),
        tool_calls=tuple(ToolCall(call["name"], deepcopy(call["args"])) for call in calls),
        done_reason=info.get("done_reason") if info.get("done") else None,
        logprobs=[_plain(one) for one in info.get("logprobs") or ()] or None,
        prompt_tokens=info.get("prompt_eval_count") or 0,
        completion_tokens=info.get("eval_count") or 0,
        duration_ms=(info.get("total_duration") or 0) / 1e6,
    )


def _plain(logprob: Any) -> dict[str, Any]:
    return logprob.model_dump() if hasattr(logprob, "model_dump") else dict(logprob)


def _chunk(text: str, **fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text, **fields))


def _thinking(answer: Answer, shown: bool) -> dict[str, Any]:
    return {"reasoning_content": answer.thinking} if shown and answer.thinking else {}


def _tool_calls(answer: Answer) -> list[Any]:
    return [
        tool_call(name=call.name, args=deepcopy(call.arguments), id=str(uuid4()))
        for call in answer.tool_calls
    ]


def _no_usage() -> UsageMetadata:
    return UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)


def _info(entry: Entry, origin: Origin) -> dict[str, Any]:
    answer = entry.answer
    return {
        "model": entry.model,
        "created_at": _rfc3339(entry.created_ms),
        "model_name": entry.model,
        "model_provider": "ollama",
        "done": True,
        "done_reason": answer.done_reason,
        **_NOTHING_SPENT,
        "logprobs": _logprobs(answer),
        "aegis": origin.as_dict(),
    }


def _pieces(answer: Answer, logprobs: Any) -> Iterator[tuple[str, Any]]:
    """Cut the text as it was streamed: by its tokens where their log probabilities are known."""
    if logprobs is None:
        for piece in pieces(answer.text):
            yield piece, None
    elif "".join(one.token for one in logprobs) == answer.text:
        for one in logprobs:
            yield one.token, [one]
    else:
        yield answer.text, logprobs


def _logprobs(answer: Answer) -> Any:
    """Return the log probabilities in the type that the Ollama client returns them in."""
    if answer.logprobs is None:
        return None
    body = {"message": {"role": "assistant"}, "logprobs": answer.logprobs}
    return ChatResponse.model_validate(body).logprobs


@lru_cache(maxsize=256)
def _rfc3339(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
