"""Streams that are read elsewhere than where they were asked for, under what held there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import partial
from typing import Any, TypeVar, cast

from aegis_llm.control import Surroundings

T = TypeVar("T")


def surrounded(chunks: Iterator[T]) -> Generator[T, None, None]:
    """Return the chunks, each made under the `cache_control` and `observe` blocks of this call."""
    return _steps(cast("Generator[T, None, None]", chunks), Surroundings())


def asurrounded(chunks: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Like `surrounded`, awaited."""
    return _asteps(cast("AsyncGenerator[T, None]", chunks), Surroundings())


def _steps(chunks: Generator[T, None, None], around: Surroundings) -> Generator[T, None, None]:
    step: Callable[[], T] = partial(next, chunks)
    try:
        while True:
            with around.restored():
                try:
                    chunk = step()
                except StopIteration:
                    return
            try:
                yield chunk
            except BaseException as exc:  # noqa: BLE001 - closed or thrown into: so are the chunks
                step = partial(chunks.throw, exc)
            else:
                step = partial(next, chunks)
    finally:
        del step  # it may hold the exception, whose traceback holds this frame


async def _asteps(
    chunks: AsyncGenerator[T, None], around: Surroundings
) -> AsyncGenerator[T, None]:
    step: Callable[[], Awaitable[Any]] = partial(anext, chunks)
    try:
        while True:
            with around.restored():
                try:
                    chunk = await step()
                except StopAsyncIteration:
                    return
            try:
                yield chunk
            except BaseException as exc:  # noqa: BLE001 - as in `_steps`
                step = partial(chunks.athrow, exc)
            else:
                step = partial(anext, chunks)
    finally:
        del step
