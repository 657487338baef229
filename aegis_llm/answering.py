"""How an adapter answers: look up, else call the model, else read the stream of a twin request.

The adapter hands over what is its own: the request, the call, and how a native answer becomes an
`Answer`. The framework keeps doing the HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, closing
from itertools import islice
from typing import TypeVar

from aegis_llm.lookup import Lookup
from aegis_llm.metrics.failures import GivenUpError
from aegis_llm.quiet import Quiet
from aegis_llm.scheduler.streams import ENDED, LEFT, AsyncSharedStream, End, Reader, SharedStream
from aegis_llm.scheduler.traffic import TRAFFIC
from aegis_llm.scheduling import followed
from aegis_llm.service import Service
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
        return self.computed(lookup, generate, answers_of)

    def computed(
        self, lookup: Lookup, generate: Callable[[], R], answers_of: Callable[[R], list[Answer]]
    ) -> R:
        """Return what `generate` returned, stored unless the look-up hit; its entry is of no use.

        An adapter that can read no answer in an entry reports no hit and calls this.
        """
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
        return await self.acomputed(lookup, generate, answers_of)

    async def acomputed(
        self,
        lookup: Lookup,
        generate: Callable[[], Awaitable[R]],
        answers_of: Callable[[R], list[Answer]],
    ) -> R:
        """Like `computed`, awaited."""
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
            yield from self.alone(lookup, upstream, answers_of)
            return
        seen: list[C] = []
        try:
            for chunk in reader:
                seen.append(chunk)
                yield chunk
        except BaseException as exc:
            if seen or lookup.stream is None or not isinstance(exc, Exception):
                reader.close()  # what was read to its end is stored before it is counted
                _cut_short(lookup, answers_of, seen, exc)
                raise
        else:
            if lookup.stream is not None:
                lookup.spared(*_answers(answers_of, seen))
            lookup.reported()
            return
        finally:
            reader.close()
        lookup.alone("leader_failed")
        yield from self.alone(lookup, upstream, answers_of)

    def alone(
        self,
        lookup: Lookup,
        upstream: Callable[[], Iterator[C]],
        answers_of: Callable[[list[C]], list[Answer]],
    ) -> Generator[C, None, None]:
        """Yield the chunks of a stream that is neither shared nor stored."""
        seen: list[C] = []
        try:
            with TRAFFIC.begin(), closing(_tracked(upstream(), lookup)) as chunks:
                for chunk in chunks:
                    seen.append(chunk)
                    yield chunk
        except BaseException as exc:
            _cut_short(lookup, answers_of, seen, exc)
            raise
        lookup.store(*_answers(answers_of, seen))  # it is no miss: noted alone
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
            async with aclosing(self.aalone(lookup, upstream, answers_of)) as own:
                async for chunk in own:
                    yield chunk
            return
        lookup.publish(shared)
        seen: list[C] = []
        reader = shared.read()
        try:
            async for chunk in reader:
                seen.append(chunk)
                yield chunk
        except BaseException as exc:
            if seen or lookup.stream is None or not isinstance(exc, Exception):
                await reader.aclose()
                _cut_short(lookup, answers_of, seen, exc)
                raise
        else:
            if lookup.stream is not None:
                lookup.spared(*_answers(answers_of, seen))
            lookup.reported()
            return
        finally:
            await reader.aclose()
        lookup.alone("leader_failed")
        async with aclosing(self.aalone(lookup, upstream, answers_of)) as own:
            async for chunk in own:
                yield chunk

    async def aalone(
        self,
        lookup: Lookup,
        upstream: Callable[[], AsyncIterator[C]],
        answers_of: Callable[[list[C]], list[Answer]],
    ) -> AsyncGenerator[C, None]:
        """Like `alone`, awaited."""
        seen: list[C] = []
        try:
            with TRAFFIC.begin():
                async with aclosing(_atracked(upstream(), lookup)) as chunks:
                    async for chunk in chunks:
                        seen.append(chunk)
                        yield chunk
        except BaseException as exc:
            _cut_short(lookup, answers_of, seen, exc)
            raise
        lookup.store(*_answers(answers_of, seen))  # it is no miss: noted alone
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
            if answers or end is ENDED:  # what ended was answered, though nothing may be stored
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
            if answers or end is ENDED:  # what ended was answered, though nothing may be stored
                await lookup.astore(*answers)
            else:
                lookup.failed(end if isinstance(end, BaseException) else GivenUpError(end))

        return AsyncSharedStream(_atracked(_begun(lookup, upstream), lookup), finish)


def _cut_short(
    lookup: Lookup,
    answers_of: Callable[[list[C]], list[Answer]],
    seen: list[C],
    error: BaseException,
) -> None:
    """Count a stream that its reader left: answered if all of it had been read, else failed."""
    answers = _answers(answers_of, seen) if isinstance(error, GeneratorExit) else []
    if not answers:
        left = isinstance(error, GeneratorExit)
        lookup.unanswered(GivenUpError(LEFT) if left else error)
        return
    if lookup.origin.outcome == "coalesced":
        lookup.spared(*answers)
    lookup.reported()


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
