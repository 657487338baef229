"""A chain's stream: its chunks put together, and an answer cut into chunks again. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.messages.base import TextAccessor
from langchain_core.output_parsers import BaseCumulativeTransformOutputParser
from langchain_core.runnables import RunnableParallel, RunnableSequence
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.passthrough import RunnableAssign
from langchain_core.runnables.utils import AddableDict

from aegis_llm.replay import pieces
from langchain_aegis._generations import UnstorableError


def last_step(chain: Any) -> Any:
    """Return the step whose chunks a chain streams."""
    while True:
        if isinstance(chain, RunnableSequence):
            chain = chain.last
        elif isinstance(chain, RunnableBindingBase):
            chain = chain.bound
        elif (inner := getattr(chain, "cached_chain", None)) is not None:
            chain = inner
        else:
            return chain


def joined(chunks: list[Any], last: Any) -> Any:
    """Return what the chunks of a stream are together.

    Raises:
        UnstorableError: They are of a kind of which that cannot be told.
    """
    if len(chunks) == 1:
        return _whole(chunks[0])
    if isinstance(last, BaseCumulativeTransformOutputParser) and not last.diff and chunks:
        return chunks[-1]
    kinds = {type(chunk) for chunk in chunks}
    if chunks and kinds <= {str, TextAccessor}:
        return "".join(chunks)
    if kinds in ({AddableDict}, {AIMessageChunk}, {list}):
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole = whole + chunk
        return _whole(whole)
    msg = f"chunks of a stream that cannot be added: {sorted(k.__name__ for k in kinds)}"
    raise UnstorableError(msg)


def parts_of(value: Any, last: Any) -> Iterator[Any]:
    """Yield an answer in chunks, as the step that made it streams them."""
    if isinstance(value, str):
        yield from pieces(value)
    elif isinstance(value, AIMessage):
        yield from _parts_of_message(value)
    elif type(value) is dict and isinstance(last, RunnableParallel | RunnableAssign):
        for name, one in value.items():
            parts = list(parts_of(one, None)) if isinstance(one, str | AIMessage) else []
            for part in parts or [one]:
                yield AddableDict({name: part})
    else:
        yield value


def copied(chunk: Any) -> Any:
    """Return a chunk of its own for one reader: others read the same stream."""
    if isinstance(chunk, str):
        return chunk
    try:
        return deepcopy(chunk)
    except Exception:  # noqa: BLE001 - what has no copy is shared
        return chunk


def _whole(value: Any) -> Any:
    if isinstance(value, AIMessageChunk):
        return message_chunk_to_message(value)
    if type(value) is AddableDict:
        return {name: _whole(one) for name, one in value.items()}
    return value


def _parts_of_message(message: AIMessage) -> Iterator[AIMessageChunk]:
    fields: dict[str, Any] = {"id": message.id, "name": message.name}
    content: str | list[Any] = message.content
    if isinstance(content, str):
        for piece in pieces(content):
            yield AIMessageChunk(content=piece, **fields)
        content = ""
    yield AIMessageChunk(
        content=content,
        tool_calls=message.tool_calls,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
        **fields,
    )
