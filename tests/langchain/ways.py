"""Every way to call a LangChain chat model, each returning the message that came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import AIMessageChunk

Way = Callable[..., Awaitable[Any]]


async def invoke(model: Any, asked: Any, **given: Any) -> Any:
    return await asyncio.to_thread(model.invoke, asked, **given)


async def ainvoke(model: Any, asked: Any, **given: Any) -> Any:
    return await model.ainvoke(asked, **given)


async def batch(model: Any, asked: Any, **given: Any) -> Any:
    return (await asyncio.to_thread(model.batch, [asked], **given))[0]


async def abatch(model: Any, asked: Any, **given: Any) -> Any:
    return (await model.abatch([asked], **given))[0]


async def stream(model: Any, asked: Any, **given: Any) -> Any:
    return _whole(await asyncio.to_thread(lambda: list(model.stream(asked, **given))))


async def astream(model: Any, asked: Any, **given: Any) -> Any:
    return _whole([chunk async for chunk in model.astream(asked, **given)])


async def astream_events(model: Any, asked: Any, **given: Any) -> Any:
    events = [e async for e in model.astream_events(asked, version="v2", **given)]
    assert [e["event"] for e in events].count("on_chat_model_start") == 1
    chunks = [e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream"]
    (end,) = [e["data"]["output"] for e in events if e["event"] == "on_chat_model_end"]
    whole = _whole(chunks)
    assert whole.content == end.content
    assert whole.tool_calls == end.tool_calls
    return end


async def stream_events_v3(model: Any, asked: Any, **given: Any) -> Any:
    def drain() -> Any:
        events = model.stream_events(asked, version="v3", **given)
        assert events.text is not None
        return events.output

    return await asyncio.to_thread(drain)


async def astream_events_v3(model: Any, asked: Any, **given: Any) -> Any:
    events = await model.astream_events(asked, version="v3", **given)
    return await events.output


WAYS: dict[str, Way] = {
    way.__name__: way
    for way in (
        invoke, ainvoke, batch, abatch, stream, astream,
        astream_events, stream_events_v3, astream_events_v3,
    )
}  # fmt: skip


def _whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole
