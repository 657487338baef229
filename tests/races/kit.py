"""A model under the test's control, a cache of its own, and waits that end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, TypeVar

from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig, CacheConfig, SchedulerConfig
from aegis_llm.lookup import Lookup
from aegis_llm.ports import Embedder
from aegis_llm.scheduler.flight import Flight
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.values import Answer, Request
from aegis_llm.wiring import build

T = TypeVar("T")
PATIENCE = 30.0  # seconds after which a test that waits has failed
END = "."
ROOT = Path(__file__).resolve().parents[2]


class ModelError(Exception):
    """The model call failed."""


class TooLateError(AssertionError):
    """Something that a test waits for did not happen."""


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TooLateError(condition)
        time.sleep(0.0005)


async def auntil(condition: Callable[[], object]) -> None:
    """Like `until`, on an event loop."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TooLateError(condition)
        await asyncio.sleep(0.0005)


def start(call: Callable[[], T]) -> Future[T]:
    """Run a call in a thread of its own, which cannot hold up the end of the tests."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            result = call()
        except BaseException as exc:  # noqa: BLE001 - it is for whoever looks at the future
            future.set_exception(exc)
        else:
            future.set_result(result)

    threading.Thread(target=work, daemon=True, name="test").start()
    return future


def done(futures: Sequence[Future[T]]) -> list[T]:
    """Return the results of threads in time."""
    return [future.result(PATIENCE) for future in futures]


def run(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario on a loop of its own; it must leave no task, and it must end in time."""

    async def watched() -> T:
        async with asyncio.timeout(PATIENCE):
            result = await scenario()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left
        return result

    return start(lambda: asyncio.run(watched())).result(PATIENCE + 5)


def script(text: str) -> list[str]:
    """Run a script to its end and return the lines that it printed; it may warn of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", text],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'integrations'}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
    return done.stdout.splitlines()


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and see it end by that."""
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE)
    assert task.cancelled()


class Model:
    """A model whose calls wait for `gate`, and whose n-th call behaves as `script[n]` says.

    A script is an answer, an error to raise, or for a stream the chunks, and errors among them.
    """

    def __init__(self, script: dict[int, Any] | None = None, usual: Any = None) -> None:
        self.script = script or {}
        self.usual = Answer(text="Rarely.", done_reason="stop") if usual is None else usual
        self.gate = threading.Event()
        self.calls = 0
        self.pulls = 0
        self.closed = 0
        self._lock = threading.Lock()

    def generate(self) -> Answer:
        """Answer, blocking."""
        script = self._begin()
        until(self.gate.is_set)
        return self._end(script)

    async def agenerate(self) -> Answer:
        """Answer, awaited."""
        script = self._begin()
        await auntil(self.gate.is_set)
        return self._end(script)

    def stream(self) -> Iterator[str]:
        """Stream, blocking; the gate holds back what follows the first chunk."""
        try:
            for place, chunk in enumerate(self._begin()):
                if place:
                    until(self.gate.is_set)
                self.pulls += 1
                yield self._end(chunk)
        finally:
            self.closed += 1

    async def astream(self) -> AsyncIterator[str]:
        """Like `stream`, awaited."""
        try:
            for place, chunk in enumerate(self._begin()):
                if place:
                    await auntil(self.gate.is_set)
                self.pulls += 1
                yield self._end(chunk)
        finally:
            self.closed += 1

    def _begin(self) -> Any:
        with self._lock:
            self.calls += 1
            return self.script.get(self.calls, self.usual)

    @staticmethod
    def _end(script: Any) -> Any:
        if isinstance(script, BaseException):
            raise script
        return script


CHUNKS = ("a", "b", "c", "d", END)
TEXT = "".join(CHUNKS)


def answers_of_chunks(chunks: list[str]) -> list[Answer]:
    """Return the answer of a whole stream."""
    complete = chunks and chunks[-1] == END
    return [Answer(text="".join(chunks), done_reason="stop")] if complete else []


def asked(question: str = "How often do I water a cactus?", **changes: Any) -> Request:
    """A request."""
    return Request("m:latest", ({"role": "user", "content": question},), server="s", **changes)


class Ollama:
    """The digests of one server."""

    server = "s"

    def fetch(self) -> dict[str, str]:
        """Return them at once."""
        return {"m:latest": "sha256:abc"}


class Bench:
    """A cache of its own in memory, as an adapter sees it."""

    def __init__(
        self, embedder: Embedder | None = None, *, single_flight: bool = True, **cache: Any
    ) -> None:
        config = AegisConfig(
            cache=CacheConfig(redis_url="memory://", **cache),
            scheduler=SchedulerConfig(single_flight=single_flight),
        )
        self.service = build(config, embedder, MemoryStore())
        self.answering = Answering(self.service)
        self.service.digests.register(Ollama())
        self.service.digests.look("s", "m:latest")
        until(lambda: self.service.digests.known("s", "m:latest"))

    @property
    def flights(self) -> list[Flight]:
        """What is under way."""
        return list(self.service.flights._flights.values())

    @property
    def waiting(self) -> int:
        """How many requests wait for a leader."""
        return sum(len(flight.waiters) for flight in self.flights)

    @property
    def readers(self) -> int:
        """How many read the streams under way."""
        return sum(flight.stream._readers for flight in self.flights if flight.stream is not None)

    def call(self, model: Model, request: Request | None = None) -> tuple[str, str]:
        """Return the outcome and the text of a whole answer."""
        return _told(*self.answering.call(request or asked(), model.generate, lambda a: [a]))

    async def acall(self, model: Model, request: Request | None = None) -> tuple[str, str]:
        """Like `call`, awaited."""
        return _told(
            *await self.answering.acall(request or asked(), model.agenerate, lambda a: [a])
        )

    def chunks(self, model: Model) -> Iterator[str]:
        """Yield the chunks of a streamed request, as an adapter does."""
        lookup = self.service.open(asked(), stream="test")
        if lookup.entry is not None:
            yield lookup.entry.answer.text
            return
        with closing(self.answering.stream(lookup, model.stream, answers_of_chunks)) as chunks:
            yield from chunks

    async def achunks(self, model: Model) -> AsyncIterator[str]:
        """Like `chunks`, awaited."""
        lookup = await self.service.aopen(asked(), stream="test")
        if lookup.entry is not None:
            yield lookup.entry.answer.text
            return
        shared = self.answering.astream(lookup, model.astream, answers_of_chunks)
        async with aclosing(shared):
            async for chunk in shared:
                yield chunk

    def read(self, model: Model) -> str:
        """Read a stream to its end."""
        return "".join(self.chunks(model))

    async def aread(self, model: Model) -> str:
        """Like `read`, awaited."""
        return "".join([chunk async for chunk in self.achunks(model)])


def _told(lookup: Lookup, native: Answer | None) -> tuple[str, str]:
    if native is None:
        assert lookup.entry is not None
        native = lookup.entry.answer
    return lookup.origin.outcome, native.text
