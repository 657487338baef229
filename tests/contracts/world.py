"""A user's process: an adapter's four ways to ask, a store of its own, a counting model."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from aegis_llm import observe
from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.stores.redis import RedisStore
from aegis_llm.values import Answer, Origin, Request
from aegis_llm.wiring import build

WAYS = ["call", "acall", "stream", "astream"]


class Embedder:
    """Every question is the same to it: what may answer what is the matching's decision."""

    embedding_id = "test embedder"

    def __init__(self) -> None:
        self.calls = 0

    def embed(self, text: str) -> list[float]:
        """Return the same vector for every text."""
        self.calls += 1
        return [0.6, 0.8]


class World:
    """Asks in one of the ways; the answer of a question is known, so a wrong one shows.

    The local copy is off, so that every question goes to Redis.
    """

    def __init__(self, url: str, way: str, *, semantic: bool = True, **options: Any) -> None:
        given = {
            "redis_url": url,
            "redis_timeout_ms": 150.0,
            "redis_connect_timeout_ms": 150.0,
            "local_max_bytes": 0,
            "similarity": 0.92,  # rules alone decide: the embedder is no real one
            **options,
        }
        config = AegisConfig().with_options(**given)
        self.embedder = Embedder()
        self.answering = Answering(build(config, self.embedder if semantic else None))
        self.way = way
        self.calls = 0
        self.runner = asyncio.Runner() if way.startswith("a") else None

    @property
    def store(self) -> RedisStore:
        """The store on Redis."""
        store = self.answering.service.store
        assert isinstance(store, RedisStore)
        return store

    def close(self) -> None:
        """End the process."""
        if self.runner is None:
            self.store.close()
            return
        self.runner.run(self.store.aclose())
        self.runner.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, question: str) -> Origin:
        """Ask, check the answer, and return where it came from."""
        request = Request("m", ({"role": "user", "content": question},), identity="test")
        with observe() as seen:
            if self.runner is None:
                text = getattr(self, f"_{self.way}")(request)
            else:
                here = contextvars.copy_context()
                text = self.runner.run(getattr(self, f"_{self.way}")(request), context=here)
        assert text == answer_to(question), "a wrong answer"
        assert len(seen) == 1
        return seen[0]

    def _call(self, request: Request) -> str:
        lookup, native = self.answering.call(
            request, lambda: self._generate(request), lambda text: [_complete(text)]
        )
        return lookup.entry.answer.text if native is None else native  # type: ignore[union-attr]

    async def _acall(self, request: Request) -> str:
        async def generate() -> str:
            return self._generate(request)

        lookup, native = await self.answering.acall(
            request, generate, lambda text: [_complete(text)]
        )
        return lookup.entry.answer.text if native is None else native  # type: ignore[union-attr]

    def _stream(self, request: Request) -> str:
        lookup = self.answering.service.open(request, stream="test")
        if lookup.entry is not None:
            lookup.reported()
            return lookup.entry.answer.text

        def upstream() -> Iterator[str]:
            yield from self._generate(request)

        return "".join(self.answering.stream(lookup, upstream, _joined))

    async def _astream(self, request: Request) -> str:
        lookup = await self.answering.service.aopen(request, stream="test")
        if lookup.entry is not None:
            lookup.reported()
            return lookup.entry.answer.text

        async def upstream() -> AsyncIterator[str]:
            for chunk in self._generate(request):
                yield chunk

        chunks = self.answering.astream(lookup, upstream, _joined)
        return "".join([chunk async for chunk in chunks])

    def _generate(self, request: Request) -> str:
        self.calls += 1
        return answer_to(str(request.messages[-1]["content"]))


def answer_to(question: str) -> str:
    """The one right answer to a question."""
    return f"You asked: {question}"


def _complete(text: str) -> Answer:
    return Answer(text=text, done_reason="stop")


def _joined(chunks: list[str]) -> list[Answer]:
    return [_complete("".join(chunks))]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The reasons that were logged as warnings or worse."""
    return [
        record.getMessage().partition("; ")[0].rpartition(": ")[2]
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]
