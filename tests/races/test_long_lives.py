"""What must not add up, or stay broken, in a process that lives for months."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ollama import AsyncClient

from aegis_llm.errors import EmbedTrouble
from aegis_llm.ollama_client import LoopClient
from aegis_llm.scheduler.embedding import Embedding
from aegis_llm.scheduler.flight import Flights
from aegis_llm.scheduler.loops import PerLoop
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.redis_clients import async_client
from aegis_llm.stores.redis_lines import AsyncLines
from aegis_llm.testing import ManualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    clock.advance(1000)
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    return clock


class Hanging:
    """An embedder that hangs for ever while `hangs`, call by call."""

    embedding_id = "hanging"

    def __init__(self) -> None:
        self.hangs = True
        self.calls = 0
        self.begun = threading.Semaphore(0)
        self.answered = threading.Event()
        self.end = threading.Event()

    def embed(self, text: str) -> list[float]:
        self.calls += 1
        self.begun.release()
        if self.hangs:
            self.end.wait(60)
            raise TimeoutError
        self.answered.set()
        return [3.0, 4.0]


@pytest.fixture
def embedder() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.end.set()


def threads(prefix: str) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(prefix)]


def ended(prefix: str) -> bool:
    for thread in threads(prefix):
        thread.join(10)
    return not threads(prefix)


def refused(embedding: Embedding) -> str:
    with pytest.raises(EmbedTrouble) as caught:
        embedding.embed("q")
    return caught.value.reason


def hung(embedding: Embedding, embedder: Hanging, clock: ManualClock) -> None:
    """Hang three calls and the first probe: all four threads."""
    assert [refused(embedding) for _ in range(3)] == ["embedding_timeout"] * 3
    clock.advance(1)
    assert refused(embedding) == "embedding_breaker_open"
    for _ in range(4):
        assert embedder.begun.acquire(timeout=5)


def test_an_embedder_that_recovers_is_used_again_though_all_threads_hang(
    clock: ManualClock, embedder: Hanging
) -> None:
    embedding = Embedding(embedder, 0.01, give_up_s=30)
    hung(embedding, embedder, clock)
    embedder.hangs = False
    clock.advance(31)
    refused(embedding)
    assert embedder.answered.wait(5)
    embedding._probing.result(5)  # type: ignore[union-attr]
    assert embedding._breaker.allow()


def test_probes_do_not_pile_up_and_few_threads_are_given_up(
    clock: ManualClock, embedder: Hanging
) -> None:
    embedding = Embedding(embedder, 0.01, give_up_s=30)
    hung(embedding, embedder, clock)
    for _ in range(20):
        clock.advance(1)
        refused(embedding)
    assert embedder.calls == 4
    for _ in range(400):
        clock.advance(600)
        refused(embedding)
    assert embedding._pool._crew._pending <= 2
    assert embedder.calls <= 4 + 16


def test_a_given_up_thread_that_comes_back_ends(clock: ManualClock) -> None:
    pool = DaemonPool("test-back", 1, give_up_s=30)
    begun, end = threading.Event(), threading.Event()

    def hang() -> bool:
        begun.set()
        return end.wait(20)

    stuck = pool.submit(hang)
    assert begun.wait(5)
    waiting = pool.submit(int, "7")
    clock.advance(31)
    pool.relieve()
    assert waiting.result(5) == 7
    end.set()
    assert stuck.result(5)
    first = [t for t in threads("test-back") if t.name == "test-back-0"]
    for thread in first:
        thread.join(5)
    assert len(threads("test-back")) == 1
    assert pool.submit(int, "8").result(5) == 8


def test_an_idle_thread_ends_and_another_comes_when_needed() -> None:
    pool = DaemonPool("test-idle", 3, idle_s=0.01)
    for _ in range(3):
        assert [pool.submit(int, "7").result(5) for _ in range(20)] == [7] * 20
        assert ended("test-idle")
    assert pool._crew.threads == []
    assert pool._crew.idle == 0


def test_no_job_is_lost_while_threads_end() -> None:
    pool = DaemonPool("test-brief", 2, idle_s=0.0)
    assert [pool.submit(int, "7").result(5) for _ in range(500)] == [7] * 500


def test_the_threads_of_a_collected_pool_end_and_its_jobs_are_done() -> None:
    pool: DaemonPool | None = DaemonPool("test-gone", 2, idle_s=1000)
    assert pool is not None
    jobs = [pool.submit(int, "7") for _ in range(10)]
    pool = None
    gc.collect()
    assert [job.result(5) for job in jobs] == [7] * 10
    assert ended("test-gone")


def test_an_idle_thread_keeps_nothing_of_its_last_job_alive() -> None:
    pool = DaemonPool("test-last", 1)

    class Made:
        pass

    make: Callable[[], Any] = Made
    made = weakref.ref(pool.submit(make).result(5))
    pool.submit(int, "7").result(5)
    gc.collect()
    assert made() is None


def bare(work: Any) -> Any:
    """Run on a loop that is closed without its asynchronous generators being ended."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


class Peer:
    """A server that answers every request of either protocol and sees who hangs up."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = 0
        self.changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self._count(1)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                body = b'{"models":[]}'
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body if b"HTTP/1.1" in data else b"$-1\r\n")
        self._count(-1)

    def _count(self, change: int) -> None:
        with self.changed:
            self.open += change
            self.changed.notify_all()

    def comes_to(self, most: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.open <= most, 5)


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.listener.close()


def test_redis_connections_of_loops_that_were_just_closed_do_not_add_up(peer: Peer) -> None:
    url = f"redis://127.0.0.1:{peer.port}"

    def make() -> AsyncLines:
        return AsyncLines(async_client(url), direct=True)

    per_loop = PerLoop(make, AsyncLines.aclose, AsyncLines.abandon)

    async def ask() -> None:
        assert await (await per_loop.get()).call("GET", "k") is None

    gc.disable()  # it must not be garbage collection that closes them
    try:
        for _ in range(5):
            bare(ask())
        assert peer.comes_to(1)
    finally:
        gc.enable()
    asyncio.run(ask())
    assert peer.comes_to(0)
    gc.collect()


def test_ollama_connections_of_loops_that_were_just_closed_do_not_add_up(peer: Peer) -> None:
    client = LoopClient(lambda: AsyncClient(host=f"http://127.0.0.1:{peer.port}"))

    async def ask() -> None:
        assert (await client.list()).models == []

    gc.disable()
    try:
        for _ in range(5):
            bare(ask())
        assert peer.comes_to(1)
    finally:
        gc.enable()
    asyncio.run(ask())
    assert peer.comes_to(0)
    gc.collect()


FORKED = """
import os, signal, socket, sys, threading, warnings
from aegis_llm.ollama_client import OllamaModels
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.link import Link
from aegis_llm.stores.semantic import Semantic

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, which is the point
parent, begun = os.getpid(), threading.Semaphore(0)

def hang():
    if os.getpid() == parent:
        begun.release()
        threading.Event().wait()

def client():
    hang()
    raise RuntimeError

listener = socket.create_server(("127.0.0.1", 0))
kept = []
def serve():
    while True:
        kept.append(listener.accept()[0])
        begun.release()

pool = DaemonPool("test", 4)
link = Link("redis://nowhere", hang, pool, 0.05)
semantic = Semantic("ns", "e", pool, print)
models = OllamaModels("http://127.0.0.1:%d" % listener.getsockname()[1], {})
pool.submit(serve)
link.first_contact()
semantic.ready(2, client)
pool.submit(models.fetch)
for _ in range(3):
    begun.acquire()
for lock in (link._lock, semantic._lock):
    lock.acquire()
if (child := os.fork()) == 0:
    signal.alarm(20)
    link.first_contact().result(5)
    assert link.first_contact() is None
    try:
        semantic.ready(2, client).result(5)
    except RuntimeError:
        pass
    assert models._client is None and models._lock.acquire(blocking=False)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_forked_while_redis_and_ollama_are_first_asked_asks_for_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def crossing(ask: Callable[[Flights, str, threading.Barrier], bool]) -> list[bool]:
    """Let three leaders each ask the question of the next."""
    flights, meeting = Flights(), threading.Barrier(3, timeout=5)
    with ThreadPoolExecutor(3, "test-crossing") as pool:
        jobs = [
            pool.submit(contextvars.Context().run, ask, flights, pair, meeting)
            for pair in ("ab", "bc", "ca")
        ]
        return [job.result(10) for job in jobs]


def test_leaders_that_ask_each_others_questions_do_not_wait_for_each_other() -> None:
    def ask(flights: Flights, pair: str, meeting: threading.Barrier) -> bool:
        flight = flights.join(pair[0]).flight
        assert flight is not None
        meeting.wait()
        flights.join(pair[1])
        flight.settle(None)
        return not flight.awaits

    assert crossing(ask) == [True] * 3


def test_leading_tasks_that_ask_each_others_questions_do_not_wait_for_each_other() -> None:
    def ask(flights: Flights, pair: str, meeting: threading.Barrier) -> bool:
        async def main() -> bool:
            flight = (await flights.ajoin(pair[0])).flight
            assert flight is not None
            meeting.wait()
            await flights.ajoin(pair[1])
            flight.settle(None)
            return not flight.awaits

        return asyncio.run(main())

    assert crossing(ask) == [True] * 3
