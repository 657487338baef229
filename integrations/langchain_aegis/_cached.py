"""A chain that answers a question again without running."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig

from aegis_llm.answering import Answering
from aegis_llm.control import cache_control
from aegis_llm.feedback import Feedback
from aegis_llm.invalidating import Invalidating
from aegis_llm.keys import keyless
from aegis_llm.lookup import Lookup
from aegis_llm.plan import UNREADABLE
from aegis_llm.quiet import Quiet
from aegis_llm.service import Service
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import say_once
from langchain_aegis._asked import Question, request_of
from langchain_aegis._configured import configured
from langchain_aegis._generations import UnstorableError
from langchain_aegis._parts import copied, joined, last_step, parts_of
from langchain_aegis._runs import tell_run
from langchain_aegis._surrounded import asurrounded, surrounded
from langchain_aegis._values import decoded
from langchain_aegis._watch import Watch

I = TypeVar("I")  # noqa: E741 - the names that LangChain gives them
O = TypeVar("O")  # noqa: E741
log = logging.getLogger("aegis_llm")
_quiet = Quiet()
_NO_VALUE = object()
_STREAM = "langchain-chain"


class CachedChain(Feedback, Invalidating, Runnable[I, O]):
    """What `cache_chain` returns: a chain like the one inside, answered from the cache."""

    def __init__(
        self,
        chain: Runnable[I, O],
        question: Question,
        identity: str,
        uses: tuple[tuple[str, str], ...],
        answering: Answering,
    ) -> None:
        self.cached_chain = chain
        self._question = question
        self._identity = identity
        self._uses = uses
        self._answering = answering
        self._last = last_step(chain)

    @property
    def InputType(self) -> Any:  # noqa: N802
        """The type of the chain's input."""
        return self.cached_chain.InputType

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """The type of the chain's output."""
        return self.cached_chain.OutputType

    @property
    def config_specs(self) -> Any:
        """What can be configured in the chain."""
        return self.cached_chain.config_specs

    def connect_now(self, timeout: float = 5.0) -> None:
        """Connect to Redis now (starting a private one) instead of at the first request.

        Raises:
            StoreTrouble: Redis does not answer within `timeout` seconds.
        """
        self._answering.service.store.ready(timeout)

    @property
    def _cached_by(self) -> Service:
        return self._answering.service

    def invoke(self, input: I, config: RunnableConfig | None = None, **kwargs: Any) -> O:
        """Answer from the cache, else run the chain."""
        return self._call_with_config(self._invoke, input, config, **kwargs)

    async def ainvoke(self, input: I, config: RunnableConfig | None = None, **kwargs: Any) -> O:
        """Like `invoke`, awaited."""
        return await self._acall_with_config(self._ainvoke, input, config, **kwargs)

    def stream(
        self, input: I, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> Iterator[O]:
        """Like `invoke`, in chunks; an answer from the cache comes in chunks, too."""
        chunks = self._transform_stream_with_config(iter([input]), self._stream, config, **kwargs)
        return surrounded(chunks)

    def astream(
        self, input: I, config: RunnableConfig | None = None, **kwargs: Any | None
    ) -> AsyncIterator[O]:
        """Like `stream`, awaited."""
        chunks = self._atransform_stream_with_config(_only(input), self._astream, config, **kwargs)
        return asurrounded(chunks)

    def _invoke(self, input: I, run_manager: Any, config: RunnableConfig, **kwargs: Any) -> O:
        request, watch = self._request(input, config, kwargs), Watch()

        def generate() -> tuple[O]:
            return (self.cached_chain.invoke(input, _watched(config, watch), **kwargs),)

        lookup, kept = self._looked_up(request, run_manager)
        if kept is not _NO_VALUE:
            return kept  # type: ignore[no-any-return]
        found = self._answering.computed(lookup, generate, watch.answers_of(lookup))
        tell_run(run_manager, lookup.origin)
        return found[0]

    async def _ainvoke(
        self, input: I, run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> O:
        request, watch = self._request(input, config, kwargs), Watch()

        async def generate() -> tuple[O]:
            return (await self.cached_chain.ainvoke(input, _watched(config, watch), **kwargs),)

        lookup, kept = await self._alooked_up(request, run_manager)
        if kept is not _NO_VALUE:
            return kept  # type: ignore[no-any-return]
        found = await self._answering.acomputed(lookup, generate, watch.answers_of(lookup))
        tell_run(run_manager, lookup.origin)
        return found[0]

    def _stream(
        self, inputs: Iterator[I], run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> Iterator[O]:
        (input,) = inputs
        request, watch = self._request(input, config, kwargs), Watch()

        def upstream() -> Iterator[O]:
            yield from self.cached_chain.stream(input, _watched(config, watch), **kwargs)
            watch.ended = True

        with closing(self._chunks(request, watch, upstream, run_manager)) as chunks:
            yield from chunks

    def _chunks(
        self, request: Request, watch: Watch, upstream: Callable[[], Iterator[O]], run: Any
    ) -> Generator[O, None, None]:
        lookup, kept = self._looked_up(request, run, _STREAM)
        if kept is not _NO_VALUE:
            yield from parts_of(kept, self._last)
            return
        answers_of = self._answers_of(lookup, watch)
        with closing(self._answering.stream(lookup, upstream, answers_of)) as chunks:
            for chunk in chunks:
                yield copied(chunk)
        tell_run(run, lookup.origin)

    async def _astream(
        self, inputs: AsyncIterator[I], run_manager: Any, config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[O]:
        input = await anext(inputs)
        request, watch = self._request(input, config, kwargs), Watch()

        async def upstream() -> AsyncIterator[O]:
            chain, inside = self.cached_chain, _watched(config, watch)
            async for chunk in chain.astream(input, inside, **kwargs):
                yield chunk
            watch.ended = True

        async with aclosing(self._achunks(request, watch, upstream, run_manager)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _achunks(
        self, request: Request, watch: Watch, upstream: Callable[[], AsyncIterator[O]], run: Any
    ) -> AsyncGenerator[O, None]:
        lookup, kept = await self._alooked_up(request, run, _STREAM)
        if kept is not _NO_VALUE:
            for part in parts_of(kept, self._last):
                yield part
            return
        answers_of = self._answers_of(lookup, watch)
        async with aclosing(self._answering.astream(lookup, upstream, answers_of)) as chunks:
            async for chunk in chunks:
                yield copied(chunk)
        tell_run(run, lookup.origin)

    def _looked_up(self, request: Request, run: Any, stream: str = "") -> tuple[Lookup, Any]:
        """Return the look-up and what its entry holds; `_NO_VALUE` where that cannot be read."""
        lookup = self._answering.service.open(request, stream=stream)
        if lookup.entry is None:
            return lookup, _NO_VALUE
        kept = _replayed(lookup)
        if kept is not _NO_VALUE:
            lookup.reported()
            tell_run(run, lookup.origin)
            return lookup, kept
        with cache_control(refresh=True):
            lookup = self._answering.service.open(request, stream=stream)
        lookup.alone(UNREADABLE)
        return lookup, _NO_VALUE

    async def _alooked_up(
        self, request: Request, run: Any, stream: str = ""
    ) -> tuple[Lookup, Any]:
        """Like `_looked_up`, awaited."""
        lookup = await self._answering.service.aopen(request, stream=stream)
        if lookup.entry is None:
            return lookup, _NO_VALUE
        kept = _replayed(lookup)
        if kept is not _NO_VALUE:
            lookup.reported()
            tell_run(run, lookup.origin)
            return lookup, kept
        with cache_control(refresh=True):
            lookup = await self._answering.service.aopen(request, stream=stream)
        lookup.alone(UNREADABLE)
        return lookup, _NO_VALUE

    def _answers_of(self, lookup: Lookup, watch: Watch) -> Callable[[list[Any]], list[Answer]]:
        def answers_of(chunks: list[Any]) -> list[Answer]:
            if not watch.ended:
                return []
            return watch.answers(lookup, lambda: joined(chunks, self._last))

        return answers_of

    def _request(self, given: I, config: RunnableConfig, kwargs: Mapping[str, Any]) -> Request:
        """Return the request of one call; it is bypassed when it has no question or no key."""
        try:
            rest = [configured(config), dict(kwargs)]
            return request_of(given, rest, self._question, self._identity, self._uses)
        except UnstorableError as exc:
            say_once(f"cache_chain: a chain runs without its cache: {exc}")
        except Exception as exc:  # a user's question(...), an input like no other
            if _quiet.may_say(f"asking {type(exc)}"):
                log.warning("cache_chain: no question found; the chain runs", exc_info=exc)
        return keyless("langchain", operation="invoke_workflow")


def _watched(config: RunnableConfig, watch: Watch) -> RunnableConfig:
    """Return the config with a manager that tells `watch` of everything inside."""
    manager: Any = config["callbacks"].copy()  # type: ignore[union-attr]
    manager.add_handler(watch, inherit=True)
    return {**config, "callbacks": manager}


def _replayed(lookup: Lookup) -> Any:
    """Return what a hit holds; `_NO_VALUE` when it was not written by us."""
    entry = lookup.entry
    if entry is None:
        return _NO_VALUE
    try:
        info = entry.answer.info
        return entry.answer.text if info is None else decoded(info["value"], lookup.origin)
    except Exception as exc:  # noqa: BLE001 - the chain runs instead
        if _quiet.may_say(f"replaying {type(exc)}"):
            log.warning("an entry could not be replayed; the chain runs: %s", type(exc))
        return _NO_VALUE


async def _only(value: I) -> AsyncIterator[I]:
    yield value
