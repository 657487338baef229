"""A service in memory and a model that answers when it is told to, for threads and tasks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.service import Lookup, Service
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build

PATIENCE_S = 20.0


def ask(text: str = "Why?", **changes: Any) -> Request:
    """A request that needs no digest."""
    message = {"role": "user", "content": text}
    return Request(**({"model": "m", "messages": (message,), "identity": "test"} | changes))


def answering(**options: Any) -> Answering:
    """An `Answering` of its own on a memory store."""
    config = AegisConfig().with_options(redis_url="memory://", **options)
    return Answering(build(config, None, MemoryStore()))


def answers_of(native: Any) -> list[Answer]:
    """The answer of a whole text, or of the chunks of a stream that came to its end."""
    if isinstance(native, str):
        return [Answer(text=native, done_reason="stop")]
    if not native or native[-1] != "END":
        return []
    return [Answer(text="".join(native[:-1]), done_reason="stop")]


def waiting(service: Service) -> int:
    """How many requests wait for a leader."""
    return sum(len(flight.waiters) for flight in list(service.flights._flights.values()))


def until(condition: Callable[[], object]) -> None:
    """Block until the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.001)


async def auntil(condition: Callable[[], object]) -> None:
    """Like `until`, awaited."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        await asyncio.sleep(0.001)


class Model:
    """Counts its calls and answers once its gate is open; streams three chunks and an end.

    `errors` are raised by the first calls, streams raise at the chunk `break_at`. The calls that
    do not fail answer only when `together` of them have run at the same time.
    """

    CHUNKS = ("It ", "just ", "is.", "END")

    def __init__(self, *, open: bool = False) -> None:
        self.gate = threading.Event()
        if open:
            self.gate.set()
        self.calls = 0
        self.running = 0
        self.closed = 0
        self.errors: list[BaseException | None] = []
        self.break_at = 0
        self.together = 0
        self.met = threading.Event()
        self.lock = threading.Lock()

    def _begin(self) -> BaseException | None:
        with self.lock:
            self.calls += 1
            self.running += 1
            return self.errors.pop(0) if self.errors else None

    def _meet(self) -> bool:
        if self.running >= self.together:
            self.met.set()
        return self.met.is_set()

    def _end(self) -> None:
        with self.lock:
            self.running -= 1

    def call(self) -> str:
        """Answer as a whole, blocking."""
        error = self._begin()
        try:
            assert self.gate.wait(PATIENCE_S)
            if error is not None:
                raise error
            until(self._meet)
            return "It just is."
        finally:
            self._end()

    async def acall(self) -> str:
        """Like `call`, awaited."""
        error = self._begin()
        try:
            await auntil(self.gate.is_set)
            if error is not None:
                raise error
            await auntil(self._meet)
            return "It just is."
        finally:
            self._end()

    def stream(self) -> Iterator[str]:
        """Answer in chunks; the gate stands before the first, an error at `break_at`."""
        error = self._begin()
        try:
            assert self.gate.wait(PATIENCE_S)
            for place, chunk in enumerate(self.CHUNKS):
                if error is not None and place == self.break_at:
                    raise error
                yield chunk
        finally:
            self.closed += 1
            self._end()

    async def astream(self) -> AsyncIterator[str]:
        """Like `stream`, awaited."""
        error = self._begin()
        try:
            await auntil(self.gate.is_set)
            for place, chunk in enumerate(self.CHUNKS):
                if error is not None and place == self.break_at:
                    raise error
                yield chunk
                await asyncio.sleep(0)
        finally:
            self.closed += 1
            self._end()


def text_of(lookup: Lookup, native: str | None) -> str:
    """The answer that the caller got, from the model or from the cache."""
    if native is not None:
        return native
    assert lookup.entry is not None
    return lookup.entry.answer.text


class Crowd:
    """Threads that each make one call; `join` returns what they got, errors included."""

    def __init__(self, size: int, call: Callable[[], Any]) -> None:
        self.results: list[Any] = []
        self._call = call
        self._threads = [threading.Thread(target=self._one, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def _one(self) -> None:
        try:
            self.results.append(self._call())
        except BaseException as exc:  # noqa: BLE001 - the test looks at it
            self.results.append(exc)

    def join(self) -> list[Any]:
        """Wait for all; one that never ends fails the test."""
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a caller waits for ever"
        return self.results
