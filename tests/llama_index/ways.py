"""Every way to call a LlamaIndex model, each returning the last response that came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from llama_index.core.llms import ChatMessage

Way = Callable[..., Awaitable[Any]]


async def chat(llm: Any, text: str) -> Any:
    return await asyncio.to_thread(llm.chat, _said(text))


async def achat(llm: Any, text: str) -> Any:
    return await llm.achat(_said(text))


async def stream_chat(llm: Any, text: str) -> Any:
    return _last(await asyncio.to_thread(lambda: list(llm.stream_chat(_said(text)))))


async def astream_chat(llm: Any, text: str) -> Any:
    return _last([chunk async for chunk in await llm.astream_chat(_said(text))])


async def complete(llm: Any, text: str) -> Any:
    return await asyncio.to_thread(llm.complete, text)


async def acomplete(llm: Any, text: str) -> Any:
    return await llm.acomplete(text)


async def stream_complete(llm: Any, text: str) -> Any:
    return _last(await asyncio.to_thread(lambda: list(llm.stream_complete(text))))


async def astream_complete(llm: Any, text: str) -> Any:
    return _last([chunk async for chunk in await llm.astream_complete(text)])


WAYS: dict[str, Way] = {
    way.__name__: way
    for way in (
        chat, achat, stream_chat, astream_chat,
        complete, acomplete, stream_complete, astream_complete,
    )
}  # fmt: skip


def text_of(response: Any) -> str:
    """Return the text of either kind of response."""
    return str(response.text if hasattr(response, "text") else response.message.content)


def _said(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


def _last(chunks: list[Any]) -> Any:
    """Return the last chunk, which holds the whole text; the deltas have to join to it."""
    assert "".join(chunk.delta or "" for chunk in chunks) == text_of(chunks[-1])
    return chunks[-1]
