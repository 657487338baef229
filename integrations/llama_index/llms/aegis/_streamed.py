"""Streamed responses of query engines, cut into what is shared and put together again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from contextlib import aclosing, closing
from copy import copy
from typing import Any, NamedTuple

from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.schema import NodeWithScore

from aegis_llm.control import Surroundings
from llama_index.llms.aegis._documents import heard_by
from llama_index.llms.aegis._watch import Watch


class Head(NamedTuple):
    """What a streamed response says before its first token."""

    nodes: list[NodeWithScore]
    metadata: dict[str, Any] | None


def streams(engine: Any) -> bool:
    """Return whether an engine is known to stream its answers."""
    synthesizer = getattr(engine, "_response_synthesizer", None)
    if synthesizer is not None:
        return bool(getattr(synthesizer, "_streaming", False))
    for name in ("cached_engine", "_query_engine"):
        inner = getattr(engine, name, None)
        if inner is not None:
            return streams(inner)
    return False


def parts_of(ask: Callable[[], RESPONSE_TYPE], watch: Watch) -> Generator[Any, None, None]:
    """Yield the head of a streamed response and its tokens, or a response that is not streamed."""
    response = ask()
    if not isinstance(response, StreamingResponse):
        yield response
    else:
        yield Head(response.source_nodes, response.metadata)
        tokens = iter(response.response_gen)
        while True:
            with heard_by(watch):
                token = next(tokens, None)
            if token is None:
                break
            yield token
    watch.ended = True


async def aparts_of(
    ask: Callable[[], Awaitable[RESPONSE_TYPE]], watch: Watch
) -> AsyncGenerator[Any, None]:
    """Like `parts_of`, awaited."""
    response = await ask()
    if not isinstance(response, AsyncStreamingResponse):
        yield response
    else:
        yield Head(response.source_nodes, response.metadata)
        tokens = aiter(response.response_gen)
        while True:
            with heard_by(watch):
                token = await anext(tokens, None)
            if token is None:
                break
            yield token
    watch.ended = True


def joined(parts: list[Any]) -> Any:
    """Return the whole response that the parts make."""
    head, *tokens = parts
    if not isinstance(head, Head):
        return head
    return Response("".join(tokens), head.nodes, head.metadata)


def response_from(parts: Generator[Any, None, None], around: Surroundings) -> RESPONSE_TYPE:
    """Return the response that the parts make; its tokens are made as they are read."""
    head = next(parts)
    if not isinstance(head, Head):
        for _ in parts:  # it ends at once, and is stored
            pass
        whole: RESPONSE_TYPE = copy(head)
        return whole
    return StreamingResponse(_tokens(parts, around), *_own(head))


async def aresponse_from(parts: AsyncGenerator[Any, None], around: Surroundings) -> RESPONSE_TYPE:
    """Like `response_from`, awaited."""
    head = await anext(parts)
    if not isinstance(head, Head):
        async for _ in parts:
            pass
        whole: RESPONSE_TYPE = copy(head)
        return whole
    return AsyncStreamingResponse(_atokens(parts, around), *_own(head))


def streamed(response: Response, tokens: Iterable[str]) -> StreamingResponse:
    """Return a whole response as a streamed one."""
    return StreamingResponse((token for token in tokens), response.source_nodes, response.metadata)


def astreamed(response: Response, tokens: Iterable[str]) -> AsyncStreamingResponse:
    """Like `streamed`, for who awaits."""

    async def each() -> AsyncGenerator[str, None]:
        for token in tokens:
            yield token

    return AsyncStreamingResponse(each(), response.source_nodes, response.metadata)


def followed_by(
    parts: Generator[Any, None, None], ended: Callable[[], object]
) -> Generator[Any, None, None]:
    """Yield the parts, and call `ended` after the last; not where a reader leaves before it."""
    with closing(parts):
        yield from parts
    ended()


async def afollowed_by(
    parts: AsyncGenerator[Any, None], ended: Callable[[], object]
) -> AsyncGenerator[Any, None]:
    """Like `followed_by`, awaited."""
    async with aclosing(parts):
        async for part in parts:
            yield part
    ended()


def _own(head: Head) -> tuple[list[NodeWithScore], dict[str, Any] | None]:
    """Return nodes and metadata that one reader may change: others read the same stream."""
    nodes = [node.model_copy() for node in head.nodes]
    return nodes, None if head.metadata is None else dict(head.metadata)


def _tokens(parts: Generator[Any, None, None], around: Surroundings) -> Generator[str, None, None]:
    with closing(parts):
        while True:
            with around.restored():
                part = next(parts, None)
            if part is None:
                return
            yield part


async def _atokens(
    parts: AsyncGenerator[Any, None], around: Surroundings
) -> AsyncGenerator[str, None]:
    async with aclosing(parts):
        while True:
            with around.restored():
                part = await anext(parts, None)
            if part is None:
                return
            yield part
