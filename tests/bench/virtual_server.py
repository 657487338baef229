"""A bench and a simulated Ollama over real HTTP, in a time that only the two of them make pass.

The clock stands still while anybody has something to do. When the client waits for the server,
and every request in the server sleeps or waits for a slot, it jumps to where the first of them
wakes. So what is measured is exact, however busy the machine is.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
import threading
from collections.abc import AsyncIterator, Coroutine
from itertools import count
from typing import Any, TypeVar

import httpx

from aegis_llm.bench.running import Bench
from aegis_llm.bench.sending import Around
from aegis_llm.bench.values import Recorded, Settings
from aegis_llm.testing import OllamaSimulator, Timing

T = TypeVar("T")
MODEL = "llama3.1:8b"
_EPOCH = 1_700_000_000.0
_STUCK_S = 20.0


class VirtualClock:
    """Sleepers wait on it until `advance` reaches them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleeping: list[tuple[float, int, threading.Event]] = []
        self._numbers = count()
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return _EPOCH + self.now

    def sleep(self, seconds: float) -> None:
        woken = threading.Event()
        with self._lock:
            heapq.heappush(self._sleeping, (self.now + seconds, next(self._numbers), woken))
        assert woken.wait(_STUCK_S), "the clock stands still"

    @property
    def asleep(self) -> int:
        return len(self._sleeping)

    @property
    def next(self) -> float | None:
        with self._lock:
            return self._sleeping[0][0] if self._sleeping else None

    def advance(self, to: float) -> None:
        with self._lock:
            self.now = to
            while self._sleeping and self._sleeping[0][0] <= to:
                heapq.heappop(self._sleeping)[2].set()


class Counting(httpx.AsyncHTTPTransport):
    """Knows how many requests the client has sent and not read to their end."""

    under_way = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        try:
            response = await super().handle_async_request(request)
        except BaseException:
            self.under_way -= 1
            raise
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        response.stream = _Counted(self, stream)
        return response


class _Counted(httpx.AsyncByteStream):
    def __init__(self, counting: Counting, stream: httpx.AsyncByteStream) -> None:
        self._counting, self._stream = counting, stream
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
        if self._open:
            self._open = False
            self._counting.under_way -= 1


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        timer = None if timeout is None else self._world.clock.now + timeout
        for _ in range(int(_STUCK_S / 0.0002)):
            ready = super().select(0)
            if ready:
                return ready
            if self._world.quiet() and not (ready := super().select(0)):
                wakes = [at for at in (self._world.clock.next, timer) if at is not None]
                if wakes:
                    self._world.clock.advance(min(wakes))
                    if min(wakes) == timer:
                        return []
                    continue
            if ready or (ready := super().select(0.0002)):
                return ready
        raise AssertionError("nothing goes on")


class World(asyncio.SelectorEventLoop):
    """The event loop of the client; it moves the clock that the server has, too."""

    def __init__(self, **server: Any) -> None:
        self.clock = VirtualClock()
        self.server = OllamaSimulator([MODEL], clock=self.clock, **server)
        self.transport = Counting()
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.clock.now

    def quiet(self) -> bool:
        """Whether all that was sent has arrived, and sleeps or waits for a slot."""
        engine, here = self.server._engine, self.server.in_flight
        if here != self.transport.under_way:
            return False
        waiting = max(0, len(engine._pending) - 1)
        for runner in engine._loaded.values():
            if runner.waiting and runner.slots.idle:
                return False
            waiting += len(runner.waiting)
        return self.clock.asleep + waiting == here


def measured(settings: Settings, timing: Timing, **server: Any) -> Recorded:
    """Run a bench against a simulated server and return what it recorded."""
    recorded = Recorded(settings=settings)
    world = World(timing=timing, **server)

    async def main() -> None:
        client = httpx.AsyncClient(
            base_url=world.server.base_url, transport=world.transport, timeout=None
        )
        async with client:
            await Bench(recorded, Around(client, world.clock.monotonic)).run()

    with world.server:
        run(main(), world)
    return recorded


def run(main: Coroutine[Any, Any, T], world: World) -> T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=lambda: world) as runner:
        return runner.run(main)
