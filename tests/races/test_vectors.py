"""Texts that several callers want at once: each is computed once, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from aegis_llm import wiring
from aegis_llm.config import AegisConfig
from aegis_llm.errors import TextTooLongError
from aegis_llm.scheduler import underway as underway_module
from aegis_llm.vectorizing import Vectorizing
from tests.races.kit import (
    ModelError,
    Ollama,
    auntil,
    cancelled,
    done,
    run,
    start,
    until,
)


class TooLongError(Exception):
    """What the official client raises for a text that is too long."""

    status_code = 400


class Source:
    """Embeds texts while the gate is open, and counts how often each was sent."""

    models = Ollama()
    model = "m:latest"
    dimensions = None
    truncate = False

    def __init__(self) -> None:
        self.identity = id(self)
        self.options: dict[str, Any] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.sent: Counter[str] = Counter()
        self.requests = 0
        self.errors: list[Exception] = []
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str], *, truncate: bool) -> list[list[float]]:
        self._begin(texts)
        until(self.gate.is_set)
        return self._end(texts)

    async def aembed(self, texts: Sequence[str], *, truncate: bool) -> list[list[float]]:
        self._begin(texts)
        await auntil(self.gate.is_set)
        return self._end(texts)

    def _begin(self, texts: Sequence[str]) -> None:
        with self._lock:
            self.requests += 1
            self.sent.update(texts)

    def _end(self, texts: Sequence[str]) -> list[list[float]]:
        with self._lock:
            if self.errors:
                raise self.errors.pop()
        if any(text.startswith("long") for text in texts):
            msg = "the input length exceeds the context length"
            raise TooLongError(msg)
        return [vector_of(text) for text in texts]


def vector_of(text: str) -> list[float]:
    return [1.0, float(len(text)), *(float(ord(c)) for c in text[:6].ljust(6))]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def embedder(source: Source) -> Iterator[Vectorizing]:
    made = wiring.connect_vectors(AegisConfig().with_options(redis_url="memory://v"), source)
    made.kept.digests.ask("s", "m:latest", 10.0)
    yield made
    until(lambda: not len(made._work))


async def calls(embedder: Vectorizing, *calls: list[str]) -> list[Any]:
    return await asyncio.gather(*(embedder.aembed(texts) for texts in calls))


def test_the_same_text_at_once_is_computed_once(embedder: Vectorizing, source: Source) -> None:
    source.gate.clear()
    threads = [start(lambda: embedder.embed(["a"])) for _ in range(16)]
    loops = [start(lambda: run(lambda: calls(embedder, *[["a"]] * 8))) for _ in range(2)]
    until(lambda: source.requests)
    source.gate.set()
    assert done(threads) == [[vector_of("a")]] * 16
    assert done(loops) == [[[vector_of("a")]] * 8] * 2
    assert source.sent == {"a": 1}


@pytest.mark.parametrize("seed", range(4))
def test_calls_that_share_texts_wait_for_each_other_and_end(
    embedder: Vectorizing, source: Source, seed: int
) -> None:
    rng = random.Random(seed)
    wanted = [[f"t{rng.randrange(12)}" for _ in range(rng.randrange(1, 7))] for _ in range(120)]

    def work(mine: list[list[str]]) -> list[Any]:
        return [embedder.embed(texts) for texts in mine]

    async def awork(mine: list[list[str]]) -> list[Any]:
        return [result for at in range(0, len(mine), 5)
                for result in await calls(embedder, *mine[at : at + 5])]  # fmt: skip

    threads = [start(lambda m=wanted[at : at + 10]: work(m)) for at in range(0, 60, 10)]
    loops = [
        start(lambda m=wanted[at : at + 20]: run(lambda: awork(m))) for at in range(60, 120, 20)
    ]
    results = [result for part in done([*threads, *loops]) for result in part]
    assert results == [[vector_of(text) for text in texts] for texts in wanted]
    assert set(source.sent.values()) == {1}


def test_who_follows_a_cancelled_caller_computes_for_itself(
    embedder: Vectorizing, source: Source
) -> None:
    source.gate.clear()

    async def scenario() -> list[Any]:
        leader = asyncio.create_task(embedder.aembed(["a"]))
        await auntil(lambda: source.requests)
        followers = [asyncio.create_task(embedder.aembed(["a"])) for _ in range(3)]
        await asyncio.sleep(0)
        await cancelled(leader)
        await cancelled(followers.pop())
        source.gate.set()
        return await asyncio.gather(*followers)

    assert run(scenario) == [[vector_of("a")]] * 2
    assert source.sent["a"] <= 4


def test_who_follows_a_failed_caller_asks_for_itself(
    embedder: Vectorizing, source: Source
) -> None:
    source.gate.clear()
    source.errors.append(ModelError("once"))
    leader = start(lambda: embedder.embed(["a"]))
    until(lambda: source.requests)
    followers = [start(lambda: embedder.embed(["a"])) for _ in range(4)]
    source.gate.set()
    with pytest.raises(ModelError, match="once"):
        leader.result(30)
    assert done(followers) == [[vector_of("a")]] * 4


def test_a_text_that_is_too_long_fails_all_who_want_it_and_nobody_else(
    embedder: Vectorizing, source: Source
) -> None:
    source.gate.clear()
    bad = [start(lambda: embedder.embed(["long", "b"])) for _ in range(3)]
    good = [start(lambda t=text: embedder.embed([t])) for text in "bcd"]
    until(lambda: source.requests)
    source.gate.set()
    assert done(good) == [[vector_of(text)] for text in "bcd"]
    for future in bad:
        with pytest.raises(TextTooLongError, match="text 1 of 2"):
            future.result(30)


def test_a_blocking_call_on_the_loop_waits_for_no_task_of_it(
    embedder: Vectorizing, source: Source
) -> None:
    source.gate.clear()

    async def scenario() -> list[Any]:
        leader = asyncio.create_task(embedder.aembed(["a"]))
        await auntil(lambda: source.requests)
        opened = start(lambda: until(lambda: source.requests == 2) or source.gate.set())
        blocked = embedder.embed(["a"])
        done([opened])
        return [blocked, await leader]

    assert run(scenario) == [[vector_of("a")]] * 2
    assert source.sent == {"a": 2}


def test_a_thread_of_the_loops_executor_waits_for_no_task_of_it(
    embedder: Vectorizing, source: Source
) -> None:
    """The leader's client may need that very thread to resolve a name."""
    source.gate.clear()

    async def scenario() -> list[Any]:
        leader = asyncio.create_task(embedder.aembed(["a"]))
        await auntil(lambda: source.requests)
        await asyncio.to_thread(lambda: None)
        helper = asyncio.create_task(asyncio.to_thread(embedder.embed, ["a"]))
        await auntil(lambda: source.requests == 2)
        source.gate.set()
        return [await helper, await leader]

    assert run(scenario) == [[vector_of("a")]] * 2


def test_a_thread_does_not_wait_for_a_loop_that_waits_for_it(
    embedder: Vectorizing, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(underway_module, "_PATIENCE_S", 0.05)

    async def scenario() -> list[Any]:
        source.gate.clear()
        leader = asyncio.create_task(embedder.aembed(["a"]))
        await auntil(lambda: source.requests)
        source.gate.set()
        blocked = done([start(lambda: embedder.embed(["a"]))])[0]
        return [blocked, await leader]

    assert run(scenario) == [[vector_of("a")]] * 2


def test_a_loop_that_is_closed_holds_nobody_up(
    embedder: Vectorizing, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(underway_module, "_PATIENCE_S", 0.05)
    source.gate.clear()
    loop = asyncio.new_event_loop()
    task = loop.create_task(embedder.aembed(["a"]))
    loop.run_until_complete(auntil(lambda: source.requests))
    loop.close()
    source.gate.set()
    assert done([start(lambda: embedder.embed(["a"]))]) == [[vector_of("a")]]
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task, loop
    gc.collect()
