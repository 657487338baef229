"""How an adapter answers: look up, else call the model, else read the stream of a twin request.

The adapter hands over what is its own: the request, the call, and how a native answer becomes an
`Answer`. The framework keeps doing the HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from itertools import islice
from typing import TypeVar

from aegis_llm.metrics.failures import GivenUpError
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.streams import ENDED, LEFT, AsyncSharedStream, End, Reader, SharedStream
from aegis_llm.scheduler.traffic import TRAFFIC
from aegis_llm.scheduling import followed
from aegis_llm.service import Lookup, Service
from aegis_llm.values import Answer, Request

log = logging.getLogger("aegis_llm")
_quiet = Quiet()


class _NoChunk:
    """Stands for the end of a stream."""


_NO_CHUNK = _NoChunk()
R = TypeVar("R")
C = TypeVar("C")


class Answering:
    """Answers requests through one service."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def call(
        self, request: Request, generate: Callable[[], R], answers_of: Callable[[R], list[Answer]]
    ) -> tuple[Lookup, R] | tuple[Lookup, None]:
        """Return the lookup and, unless it hit, what `generate` returned.

        An exception of `generate` passes through untouched, and nothing is stored.
        """
        lookup = self.service.open(request)
        native = self.answered(lookup, generate, answers_of)
        return (lookup, None) if native is None else (lookup, native)

    def answered(
        self, lookup: Lookup, generate: Callable[[], R], answers_of: Callable[[R], list[Answer]]
    ) -> R | None:
        """Return what `generate` returned, stored; None when the look-up hit."""
        if lookup.entry is not None:
            lookup.reported()
            return None
        try:
            with TRAFFIC.begin(), followed(lookup.trip):
                native = generate()
            lookup.store(*_answers(answers_of, native))
        except BaseException as exc:  # Ctrl-C, too, must not leave followers waiting
            lookup.failed(exc)
            raise
        lookup.reported()
        return native

    async def acall(
        self,
        request: Request,
        generate: Callable[[], Awaitable[R]],
        answers_of: Callable[[R], list[Answer]],
    ) -> tuple[Lookup, R] | tuple[Lookup, None]:
        """Like `call`, awaited."""
        lookup = await self.service.aopen(request)
        native = await self.aanswered(lookup, generate, answers_of)
        return (lookup, None) if native is None else (lookup, native)

    async def aanswered(
        self,
        lookup: Lookup,
        generate: Callable[[], Awaitable[R]],
        answers_of: Callable[[R], list[Answer]],
    ) -> R | None:
        """Like `answered`, awaited."""
        if lookup.entry is not None:
            lookup.reported()
            return None
        try:
            with TRAFFIC.begin(), followed(lookup.trip):
                native = await generate()
            await lookup.astore(*_answers(answers_of, native))
        except BaseException as exc:
            lookup.failed(exc)
            raise
        lookup.reported()
        return native

    def stream(
        self,
        lookup: Lookup,
        upstream: Callable[[], Iterator[C]],
        answers_of: Callable[[list[C]], list[Answer]],
    ) -> Generator[C, None, None]:
        """Yield the chunks of a stream that was not in the cache; shared, so copy before a change.

        `answers_of` makes the answer of the chunks, an empty list while they are not complete.
        """
        reader = lookup.stream.attach() if lookup.stream is not None else None
        if lookup.stream is None:
            reader = self._lead(lookup, upstream, answers_of)
        if reader is None:
            lookup.alone("leader_left")
            with TRAFFIC.begin():
                yield from _tracked(upstream(), lookup)
            lookup.reported()
            return
        seen: list[C] = []
        try:
            for chunk in reader:
                seen.append(chunk)
                yield chunk
        except Exception:
            if seen or lookup.stream is None:
                raise
        else:
            if lookup.stream is not None:
                lookup.spared(*_answers(answers_of, seen))
            lookup.reported()
            return
        finally:
            reader.close()
        lookup.alone("leader_failed")
        with TRAFFIC.begin():
            yield from _tracked(upstream(), lookup)
        lookup.reported()

    async def astream(
        self,
        lookup: Lookup,
        upstream: Callable[[], AsyncIterator[C]],
        answers_of: Callable[[list[C]], list[Answer]],
    ) -> AsyncGenerator[C, None]:
        """Like `stream`, awaited."""
        shared: AsyncSharedStream[C] | None = lookup.stream
        if shared is None:
            shared = self._alead(lookup, upstream, answers_of)
        if not shared.attach():
            lookup.alone("leader_left")
            with TRAFFIC.begin():
                async for chunk in _atracked(upstream(), lookup):
                    yield chunk
            lookup.reported()
            return
        lookup.publish(shared)
        seen: list[C] = []
        reader = shared.read()
        try:
            async for chunk in reader:
                seen.append(chunk)
                yield chunk
        except Exception:
            if seen or lookup.stream is None:
                raise
        else:
            if lookup.stream is not None:
                lookup.spared(*_answers(answers_of, seen))
            lookup.reported()
            return
        finally:
            await reader.aclose()
        lookup.alone("leader_failed")
        with TRAFFIC.begin():
            async for chunk in _atracked(upstream(), lookup):
                yield chunk
        lookup.reported()

    def _lead(
        self,
        lookup: Lookup,
        upstream: Callable[[], Iterator[C]],
        answers_of: Callable[[list[C]], list[Answer]],
    ) -> Reader[C] | None:
        call = TRAFFIC.begin()

        def finish(chunks: list[C], end: End) -> None:
            call.end()
            answers = _answers(answers_of, chunks) if end in (ENDED, LEFT) else []
            if answers:
                lookup.store(*answers)
            else:
                lookup.failed(end if isinstance(end, BaseException) else GivenUpError(end))

        shared = SharedStream(_tracked(_begun(lookup, upstream), lookup), finish)
        reader = shared.attach()
        lookup.publish(shared)
        return reader

    def _alead(
        self,
        lookup: Lookup,
        upstream: Callable[[], AsyncIterator[C]],
        answers_of: Callable[[list[C]], list[Answer]],
    ) -> AsyncSharedStream[C]:
        call = TRAFFIC.begin()

        async def finish(chunks: list[C], end: End) -> None:
            call.end()
            answers = _answers(answers_of, chunks) if end in (ENDED, LEFT) else []
            if answers:
                await lookup.astore(*answers)
            else:
                lookup.failed(end if isinstance(end, BaseException) else GivenUpError(end))

        return AsyncSharedStream(_atracked(_begun(lookup, upstream), lookup), finish)


def _begun(lookup: Lookup, upstream: Callable[[], R]) -> R:
    """Return the model's stream; release the followers when it cannot even begin."""
    try:
        return upstream()
    except BaseException as exc:
        lookup.failed(exc)
        raise


def _tracked(chunks: Iterator[C], lookup: Lookup) -> Generator[C, None, None]:
    """Yield the chunks; the call is made, and its way followed, when the first is asked for."""
    try:
        with followed(lookup.trip):
            begun = list(islice(chunks, 1))
        yield from begun
        yield from chunks
    finally:
        if isinstance(chunks, Generator):
            chunks.close()


async def _atracked(chunks: AsyncIterator[C], lookup: Lookup) -> AsyncGenerator[C, None]:
    """Like `_tracked`, awaited."""
    try:
        with followed(lookup.trip):
            first = await anext(chunks, _NO_CHUNK)
        if isinstance(first, _NoChunk):
            return
        yield first
        async for chunk in chunks:
            yield chunk
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


def _answers(answers_of: Callable[[R], list[Answer]], native: R) -> list[Answer]:
    """Return the answers; a native answer that cannot be read is served and not stored."""
    try:
        return answers_of(native)
    except Exception as exc:
        if _quiet.may_say(f"{type(exc)}"):
            log.error("an answer could not be read for the cache; it was served", exc_info=exc)
        return []
