"""One request of `AegisOllama`: look up, else let `Ollama` do it, under LlamaIndex's events."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, TypeVar

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.llms.ollama import Ollama

from aegis_llm.control import Surroundings, current_control
from aegis_llm.errors import NotCachedError
from aegis_llm.keys import UncacheableError, keyless, request_from_body
from aegis_llm.lookup import Lookup
from aegis_llm.quiet import Quiet
from aegis_llm.values import Entry, Origin, Request
from llama_index.llms.aegis._chunks import (
    Growing,
    Record,
    answers_of_records,
    arecorded,
    recorded,
    records_of,
)
from llama_index.llms.aegis._convert import answers_of_response, marked, response_of
from llama_index.llms.aegis._documents import documents_of_call

if TYPE_CHECKING:
    from llama_index.llms.aegis.base import AegisOllama

log = logging.getLogger("aegis_llm")
_quiet = Quiet()
R = TypeVar("R")


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
    """Messages with their form on the wire, converted once: the key is made of what is sent.

    `llm` is what sends them: the model, with the options that the key knows of.
    """

    def __init__(self, messages: Sequence[ChatMessage], wire: Any, llm: Any) -> None:
        super().__init__(messages)
        self.wire = wire
        self.llm = llm


class WithOptions:
    """A model whose options are other than its own, for one request."""

    def __init__(self, llm: AegisOllama, options: dict[str, Any]) -> None:
        self._llm = llm
        self._model_kwargs = options

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)


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
        sent, request = self._read(messages, kwargs)

        def generate() -> ChatResponse:
            self._acquire()
            response: ChatResponse = _CHAT(self._sender(sent), sent, **kwargs)
            return response

        lookup = self._answering.service.open(request)
        kept = None if lookup.entry is None else _readable(lookup, response_of, lookup.entry)
        if kept is not None:
            lookup.reported()
            return marked(kept, lookup.origin)
        response = self._answering.computed(lookup, generate, answers_of_response)
        return marked(response, lookup.origin)

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Like `chat`, awaited."""
        sent, request = self._read(messages, kwargs, awaited=True)

        async def generate() -> ChatResponse:
            await self._aacquire()
            response: ChatResponse = await _ACHAT(self._sender(sent), sent, **kwargs)
            return response

        lookup = await self._answering.service.aopen(request)
        kept = None if lookup.entry is None else _readable(lookup, response_of, lookup.entry)
        if kept is not None:
            lookup.reported()
            return marked(kept, lookup.origin)
        response = await self._answering.acomputed(lookup, generate, answers_of_response)
        return marked(response, lookup.origin)

    @llm_chat_callback()
    def stream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> Generator[ChatResponse, None, None]:
        """Return the chunks, which begin to be made when the first is asked for."""
        sent, request = self._read(messages, kwargs)

        def upstream() -> Generator[ChatResponse, None, None]:
            self._acquire()
            yield from _STREAM_CHAT(self._sender(sent), sent, **kwargs)

        return self._chunks(request, upstream, Surroundings())

    @llm_chat_callback()
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> AsyncGenerator[ChatResponse, None]:
        """Like `stream_chat`, awaited."""
        sent, request = self._read(messages, kwargs, awaited=True)

        async def upstream() -> AsyncGenerator[ChatResponse, None]:
            await self._aacquire()
            async with aclosing(await _ASTREAM_CHAT(self._sender(sent), sent, **kwargs)) as chunks:
                async for chunk in chunks:
                    yield chunk

        return self._achunks(request, upstream, Surroundings())

    def request(
        self,
        messages: str | Sequence[ChatMessage],
        kwargs: dict[str, Any],
        *,
        awaited: bool = False,
    ) -> Request | None:
        """Return the request of messages, or of a prompt; None when it has no key."""
        if isinstance(messages, str):
            messages = [ChatMessage(role=MessageRole.USER, content=messages)]
        return self._request(messages, kwargs, awaited=awaited, rehearsed=True)[1]

    def _chunks(
        self,
        request: Request,
        upstream: Callable[[], Generator[ChatResponse, None, None]],
        around: Surroundings,
    ) -> Generator[ChatResponse, None, None]:
        with around.restored():
            lookup = self._answering.service.open(request, stream="llama-index")
        with closing(self._records(lookup, lambda: recorded(upstream()))) as records:
            growing = Growing()
            while True:
                with around.restored():
                    record = next(records, None)
                if record is None:
                    return
                chunk = growing.chunk(record)
                yield marked(chunk, lookup.origin) if record.last else chunk

    async def _achunks(
        self,
        request: Request,
        upstream: Callable[[], AsyncGenerator[ChatResponse, None]],
        around: Surroundings,
    ) -> AsyncGenerator[ChatResponse, None]:
        with around.restored():
            lookup = await self._answering.service.aopen(request, stream="llama-index")
        async with aclosing(self._arecords(lookup, lambda: arecorded(upstream()))) as records:
            growing = Growing()
            while True:
                with around.restored():
                    record = await anext(records, None)
                if record is None:
                    return
                chunk = growing.chunk(record)
                yield marked(chunk, lookup.origin) if record.last else chunk

    def _records(
        self, lookup: Lookup, upstream: Callable[[], Generator[Record, None, None]]
    ) -> Generator[Record, None, None]:
        if lookup.entry is None:
            yield from self._answering.stream(lookup, upstream, answers_of_records)
            return
        kept = _readable(lookup, records_of, lookup.entry)
        if kept is not None:
            lookup.reported()
            yield from kept
            return
        yield from self._answering.alone(lookup, upstream, answers_of_records)

    async def _arecords(
        self, lookup: Lookup, upstream: Callable[[], AsyncGenerator[Record, None]]
    ) -> AsyncGenerator[Record, None]:
        kept = None if lookup.entry is None else _readable(lookup, records_of, lookup.entry)
        if kept is not None:
            lookup.reported()
            for record in kept:
                yield record
            return
        shared = lookup.entry is None
        ask = self._answering.astream if shared else self._answering.aalone
        async with aclosing(ask(lookup, upstream, answers_of_records)) as records:
            async for record in records:
                yield record

    def _read(
        self, messages: Sequence[ChatMessage], kwargs: dict[str, Any], *, awaited: bool = False
    ) -> tuple[Sequence[ChatMessage], Request]:
        """Like `_request`; a request that has no key is one that is bypassed."""
        sent, request = self._request(messages, kwargs, awaited=awaited)
        return sent, request or keyless("llama_index", self._llm.model)

    def _request(
        self,
        messages: Sequence[ChatMessage],
        kwargs: dict[str, Any],
        *,
        awaited: bool = False,
        rehearsed: bool = False,
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
        sent = Sent(messages, wire, llm)
        try:
            options = llm.settled(body, awaited=awaited, rehearsed=rehearsed)
            if options is not body["options"]:
                body["options"] = options
                sent.llm = WithOptions(llm, options)
            server = llm.server(awaited=awaited)
            told = documents_of_call()
            return sent, request_from_body(body, server, *told, framework="llama_index")
        except Exception as exc:  # a cache never costs an answer
            if not isinstance(exc, UncacheableError) and _quiet.may_say(f"asking {type(exc)}"):
                log.error("a request could not be read for the cache", exc_info=exc)
            return sent, None

    def _sender(self, sent: Sequence[ChatMessage]) -> Any:
        return sent.llm if isinstance(sent, Sent) else self._llm

    def _acquire(self) -> None:
        if self._llm.rate_limiter is not None:
            self._llm.rate_limiter.acquire()

    async def _aacquire(self) -> None:
        if self._llm.rate_limiter is not None:
            await self._llm.rate_limiter.async_acquire()


def _readable(lookup: Lookup, rebuild: Callable[[Entry], R], entry: Entry) -> R | None:
    """Return what a hit's entry holds; None, and a bypass, when it holds what no model said."""
    try:
        return rebuild(entry)
    except Exception as exc:  # a cache never costs an answer
        if _quiet.may_say(f"{type(exc)}"):
            log.error("a cached answer is not usable; the model is asked", exc_info=exc)
    if current_control().only_if_cached:
        msg = "only_if_cached: what is cached is not usable"
        error = NotCachedError(msg)
        lookup.unanswered(error)
        raise error
    elapsed = lookup.origin.lookup_ms
    lookup.origin = Origin("bypass", "unreadable_entry", lookup_ms=elapsed)
    return None
