"""The documents that were retrieved in the spans around a call of the model."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.instrumentation.events.synthesis import SynthesizeEndEvent
from llama_index.core.instrumentation.span import BaseSpan, active_span_id
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.schema import MetadataMode

from aegis_llm.trail import Trail
from aegis_llm.values import Document, Retrieved

_trail: Trail[Any] = Trail(time.monotonic)


Tied: TypeAlias = tuple[Sequence[Any], float]
"""Nodes, and when the first of them began to be retrieved."""


class Hearer(Protocol):
    """Who wants to hear of all that happens inside a block."""

    def heard(self, event: BaseEvent) -> None:
        """Take note of an event."""


_tied: ContextVar[Tied] = ContextVar("aegis_tied", default=((), math.inf))
_hearing: ContextVar[tuple[Hearer, ...]] = ContextVar("aegis_hearing", default=())


class _Spans(BaseSpanHandler[BaseSpan]):
    """Follows all spans of the process; none is kept after its end."""

    def span_enter(
        self, id_: str, bound_args: Any, instance: Any = None, parent_id: str | None = None,
        tags: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        _trail.begin(id_, parent_id)

    def span_exit(self, id_: str, *args: Any, **kwargs: Any) -> None:
        _trail.end(id_)

    def span_drop(self, id_: str, *args: Any, **kwargs: Any) -> None:
        _trail.end(id_)

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        """Keep no span."""

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        """Keep no span."""

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        """Keep no span."""


class _Events(BaseEventHandler):
    """Takes from the ends of retrievals what was found, and passes everything on.

    A streamed response calls the model when it is read, after its spans and perhaps in another
    thread; so what was found until then goes with its tokens.
    """

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        if isinstance(event, RetrievalEndEvent):
            _trail.found(event.span_id, event.nodes)
        elif isinstance(event, SynthesizeEndEvent) and (found := _trail.of(event.span_id)):
            response, tied = event.response, (found, _trail.since(event.span_id))
            if isinstance(response, StreamingResponse):
                response.response_gen = _tied_tokens(response.response_gen, tied)
            elif isinstance(response, AsyncStreamingResponse):
                response.response_gen = _atied_tokens(response.response_gen, tied)
        for hearer in _hearing.get():
            hearer.heard(event)


def listen() -> None:
    """Follow the spans and retrievals of this process from now on.

    To be called before anything that has to be heard: an application may have put handlers of its
    own in the place of ours since.
    """
    root = get_dispatcher("root")
    if not any(type(handler) is _Events for handler in root.event_handlers):
        root.add_event_handler(_Events())
    if not any(type(handler) is _Spans for handler in root.span_handlers):
        root.add_span_handler(_Spans())


@contextmanager
def heard_by(hearer: Hearer) -> Iterator[None]:
    """Let `hearer` hear of every event inside the block."""
    token = _hearing.set((*_hearing.get(), hearer))
    try:
        yield
    finally:
        _hearing.reset(token)


def documents_of_call() -> Retrieved:
    """Return what was retrieved in the spans around this place, and since when."""
    listen()
    (tied, since), here = _tied.get(), active_span_id.get()
    if found := [*tied, *_trail.of(here)]:
        return documents_of(found), min(since, _trail.since(here))
    return (), None


def documents_of(found: Iterable[Any]) -> tuple[Document, ...]:
    """Return scored nodes as the core takes documents, each piece of text once.

    The id is that of the document that the node is a piece of (`ref_doc_id`), else the node's.
    """
    known: dict[tuple[str, str], Document] = {}
    for scored in found:
        node = scored.node
        text = node.get_content(metadata_mode=MetadataMode.LLM)
        short = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        named = str(node.ref_doc_id or node.node_id)
        known.setdefault((named, short), Document(named, short, text))
    return tuple(known.values())


def _tied_tokens(tokens: Iterable[str], found: Tied) -> Generator[str, None, None]:
    """Return the tokens, each made with `found` tied to it."""
    steps = iter(tokens)
    try:
        while True:
            token = _tied.set(found)
            try:
                part = next(steps, None)
            finally:
                _tied.reset(token)
            if part is None:
                return
            yield part
    finally:
        if isinstance(steps, Generator):
            steps.close()


async def _atied_tokens(tokens: AsyncIterable[str], found: Tied) -> AsyncGenerator[str, None]:
    """Like `_tied_tokens`, awaited."""
    steps = aiter(tokens)
    try:
        while True:
            token = _tied.set(found)
            try:
                part = await anext(steps, None)
            finally:
                _tied.reset(token)
            if part is None:
                return
            yield part
    finally:
        if isinstance(steps, AsyncGenerator):
            await steps.aclose()
