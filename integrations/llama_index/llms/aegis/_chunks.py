"""What is kept of a stream's chunks: only what is new in each, so that memory grows with the text.

LlamaIndex's chunks hold the whole text so far; every reader grows that again for itself. Pure.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from copy import deepcopy
from typing import Any, NamedTuple

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
from aegis_llm.values import Answer, Entry, ToolCall
from llama_index.llms.aegis._convert import answer_of_raws, raw_of


class Record(NamedTuple):
    """One chunk without what the chunks before it said. Shared by readers: never changed."""

    text: str
    thinking: str
    blocks: tuple[Any, ...]
    role: MessageRole
    delta: str | None
    raw: Any
    extra: dict[str, Any]

    @property
    def last(self) -> bool:
        """Whether the model said that this ends its answer."""
        return bool((self.raw or {}).get("done"))


class Growing:
    """Makes one reader's chunks of records, each with all up to there and objects of its own."""

    def __init__(self) -> None:
        self._text = ""
        self._thinking = ""
        self._blocks: list[Any] = []

    def chunk(self, record: Record) -> ChatResponse:
        """Return the next chunk."""
        self._text += record.text
        self._thinking += record.thinking
        self._blocks += record.blocks
        blocks: list[Any] = [ThinkingBlock(content=self._thinking)] if self._thinking else []
        blocks.append(TextBlock(text=self._text))
        blocks += [block.model_copy(deep=True) for block in self._blocks]
        return ChatResponse(
            message=ChatMessage(role=record.role, blocks=blocks),
            delta=record.delta,
            raw={name: _own(value) for name, value in record.raw.items()} if record.raw else None,
            additional_kwargs=dict(record.extra),
        )


def recorded(
    chunks: Generator[ChatResponse, None, None],
) -> Generator[Record, None, None]:
    """Yield a record of each chunk."""
    seen = _Seen()
    with closing(chunks):
        for chunk in chunks:
            yield seen.record(chunk)


async def arecorded(
    chunks: AsyncGenerator[ChatResponse, None],
) -> AsyncGenerator[Record, None]:
    """Like `recorded`, awaited."""
    seen = _Seen()
    async with aclosing(chunks):
        async for chunk in chunks:
            yield seen.record(chunk)


def answers_of_records(records: list[Record]) -> list[Answer]:
    """Return the answer of a stream, an empty list while the last chunk is not there."""
    if not records or not records[-1].last:
        return []
    return [answer_of_raws([record.raw for record in records])]


def records_of(entry: Entry) -> list[Record]:
    """Return the records of a hit, as the model would have streamed it."""
    answer = entry.answer
    records = []
    if answer.thinking:
        records.append(_record(entry, thinking=answer.thinking))
    records += [_record(entry, piece) for piece in pieces(answer.text)]
    calls = _once(answer.tool_calls)
    if calls:
        records.append(_record(entry, calls=calls))
    records.append(_record(entry, done=True))
    return records


class _Seen:
    """How much of a stream's text, thinking and other blocks is recorded."""

    def __init__(self) -> None:
        self._text = self._thinking = self._blocks = 0

    def record(self, chunk: ChatResponse) -> Record:
        text = thinking = ""
        blocks: list[Any] = []
        for block in chunk.message.blocks:
            if isinstance(block, TextBlock):
                text += block.text
            elif isinstance(block, ThinkingBlock):
                thinking += block.content or ""
            else:
                blocks.append(block)
        record = Record(
            text=text[self._text :],
            thinking=thinking[self._thinking :],
            blocks=tuple(blocks[self._blocks :]),
            role=chunk.message.role,
            delta=chunk.delta,
            raw=chunk.raw,
            extra=chunk.additional_kwargs,
        )
        self._text, self._thinking, self._blocks = len(text), len(thinking), len(blocks)
        return record


def _record(
    entry: Entry,
    text: str = "",
    thinking: str | None = None,
    calls: tuple[ToolCall, ...] = (),
    *,
    done: bool = False,
) -> Record:
    return Record(
        text=text,
        thinking=thinking or "",
        blocks=tuple(ToolCallBlock(tool_name=c.name, tool_kwargs=c.arguments) for c in calls),
        role=MessageRole.ASSISTANT,
        delta=text,
        raw=raw_of(entry, text, thinking, calls, done=done),
        extra={"thinking_delta": thinking},
    )


def _once(calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
    """Return each call once, as LlamaIndex's Ollama streams them."""
    return tuple({(call.name, str(call.arguments)): call for call in calls}.values())


def _own(value: Any) -> Any:
    """Return a value that its reader may change."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, ollama.Message) and not (value.tool_calls or value.images):
        return value.model_copy()
    return deepcopy(value)
