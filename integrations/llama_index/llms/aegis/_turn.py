"""One request of `AegisOllama`: look up, else let `Ollama` do it, under LlamaIndex's events."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.llms.ollama import Ollama

from aegis_llm.answering import stream_kind
from aegis_llm.control import Surroundings
from aegis_llm.keys import UncacheableError, request_from_body
from aegis_llm.service import Lookup
from aegis_llm.values import Request
from llama_index.llms.aegis._convert import (
    answers_of_chunks,
    answers_of_response,
    chunks_of,
    copy_chunk,
    marked,
    response_of,
)

if TYPE_CHECKING:
    from llama_index.llms.aegis.base import AegisOllama


def undecorated(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function under LlamaIndex's span and event decorators.

    The span decorator names what it wraps; the event decorator keeps it as `f` in its closure.
    """
    function = inspect.unwrap(method, stop=lambda f: not callable(getattr(f, "__wrapped__", None)))
    inner: Callable[..., Any] | None = inspect.getclosurevars(function).nonlocals.get("f")
    return function if inner is None else inner


_CHAT = undecorated(Ollama.chat)
_ACHAT = undecorated(Ollama.achat)
_STREAM_CHAT = undecorated(Ollama.stream_chat)
_ASTREAM_CHAT = undecorated(Ollama.astream_chat)


class Sent(list[ChatMessage]):
    """Messages with their form on the wire, converted once: the key is made of what is sent."""

    def __init__(self, messages: Sequence[ChatMessage], wire: Any) -> None:
        super().__init__(messages)
        self.wire = wire


class Turn:
    """One request.

    It stands for the model in LlamaIndex's event decorator, so that a hit raises the events of a
    real answer, yet does not wait for the rate limiter, which throttles calls of the model.
    """

    rate_limiter = None

    def __init__(self, llm: AegisOllama) -> None:
        self._llm = llm
        self._answering = llm.answering
        self.callback_manager = llm.callback_manager
        self.to_payload = llm.to_payload

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Return the answer, from the cache or from the model."""
        sent, request = self._request(messages, kwargs)

        def generate() -> ChatResponse:
            self._acquire()
            response: ChatResponse = _CHAT(self._llm, sent, **kwargs)
            return response

        if request is None:
            return generate()
        lookup, response = self._answering.call(request, generate, answers_of_response)
        if response is None:
            return _hit(lookup)
        return marked(response, lookup.origin)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Like `chat`, awaited."""
        sent, request = self._request(messages, kwargs, awaited=True)

        async def generate() -> ChatResponse:
            await self._aacquire()
            response: ChatResponse = await _ACHAT(self._llm, sent, **kwargs)
            return response

        if request is None:
            return await generate()
        lookup, response = await self._answering.acall(request, generate, answers_of_response)
        if response is None:
            return _hit(lookup)
        return marked(response, lookup.origin)

    @llm_chat_callback()
    def stream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[ChatResponse, None, None]:
        """Return the chunks, which begin to be made when the first is asked for."""
        sent, request = self._request(messages, kwargs)

        def upstream() -> Generator[ChatResponse, None, None]:
            self._acquire()
            yield from _STREAM_CHAT(self._llm, sent, **kwargs)

        return upstream() if request is None else self._chunks(request, upstream, Surroundings())

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        """Like `stream_chat`, awaited."""
        sent, request = self._request(messages, kwargs, awaited=True)

        async def upstream() -> AsyncGenerator[ChatResponse, None]:
            await self._aacquire()
            async with aclosing(await _ASTREAM_CHAT(self._llm, sent, **kwargs)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return upstream() if request is None else self._achunks(request, upstream, Surroundings())

    def _chunks(
        self,
        request: Request,
        upstream: Callable[[], Generator[ChatResponse, None, None]],
        around: Surroundings,
    ) -> Generator[ChatResponse, None, None]:
        with around.restored():
            lookup = self._answering.service.open(request, stream=True)
            hit = None if lookup.entry is None else chunks_of(lookup.entry, lookup.reported())
        if hit is not None:
            yield from hit
            return
        with closing(self._answering.stream(lookup, upstream, answers_of_chunks)) as shared:
            while True:
                with around.restored():
                    chunk = next(shared, None)
                if chunk is None:
                    return
                yield _marked_chunk(chunk, lookup)

    async def _achunks(
        self,
        request: Request,
        upstream: Callable[[], AsyncGenerator[ChatResponse, None]],
        around: Surroundings,
    ) -> AsyncGenerator[ChatResponse, None]:
        with around.restored():
            lookup = await self._answering.service.aopen(request, stream=stream_kind())
            hit = None if lookup.entry is None else chunks_of(lookup.entry, lookup.reported())
        if hit is not None:
            for chunk in hit:
                yield chunk
            return
        async with aclosing(
            self._answering.astream(lookup, upstream, answers_of_chunks)
        ) as shared:
            while True:
                with around.restored():
                    one = await anext(shared, None)
                if one is None:
                    return
                yield _marked_chunk(one, lookup)

    def _request(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any], *, awaited: bool = False
    ) -> tuple[Sequence[ChatMessage], Request | None]:
        """Return what to hand to `Ollama`, and the request of the body that it would send.

        Messages that cannot be converted are left to `Ollama`, whose error the caller gets.
        """
        llm = self._llm
        try:
            wire = llm._convert_to_ollama_messages(messages)
        except Exception:  # noqa: BLE001 - Ollama raises the same again
            return messages, None
        body = {
            "model": llm.model,
            "messages": wire,
            "format": kwargs.get("format", "json" if llm.json_mode else None),
            "tools": kwargs.get("tools"),
            "think": kwargs.get("think") or llm.thinking,
            "options": llm._model_kwargs,
        }
        sent = Sent(messages, wire)
        try:
            return sent, request_from_body(body, server=llm.server(awaited=awaited))
        except UncacheableError:
            return sent, None

    def _acquire(self) -> None:
        if self._llm.rate_limiter is not None:
            self._llm.rate_limiter.acquire()

    async def _aacquire(self) -> None:
        if self._llm.rate_limiter is not None:
            await self._llm.rate_limiter.async_acquire()


def _hit(lookup: Lookup) -> ChatResponse:
    assert lookup.entry is not None  # noqa: S101 - a hit has an entry
    return response_of(lookup.entry, lookup.origin)


def _marked_chunk(chunk: ChatResponse, lookup: Lookup) -> ChatResponse:
    chunk = copy_chunk(chunk)
    return marked(chunk, lookup.origin) if (chunk.raw or {}).get("done") else chunk
