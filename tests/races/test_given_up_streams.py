"""A shared stream whose last reader is leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from aegis_llm.scheduler.streams import LEFT, AsyncSharedStream


async def test_it_takes_no_new_reader() -> None:
    """A newcomer was cancelled with the stream, or served the items so far as if they were all."""
    ends: list[object] = []
    finishing, finished = asyncio.Event(), asyncio.Event()

    async def upstream() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def finish(items: list[int], end: object) -> None:
        ends.append((list(items), end))
        finishing.set()
        await finished.wait()

    shared = AsyncSharedStream(upstream(), finish)
    assert shared.attach()
    async with aclosing(shared.read()) as reader:
        assert await anext(reader) == 1
        leaving = asyncio.create_task(reader.aclose())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not shared.attach()
        await finishing.wait()
        assert not shared.attach()
        finished.set()
        await leaving
    assert not shared.attach()
    assert ends == [([1], LEFT)]
