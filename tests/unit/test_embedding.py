"""Embedding a question: in time, or a trouble; never a vector that is none."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aegis_llm.errors import EmbedTrouble, TextTooLongError
from aegis_llm.scheduler import embedding as embedding_module
from aegis_llm.scheduler.embedding import Embedding
from aegis_llm.testing import ManualClock

Call = Callable[[Embedding, str], bytes]


class Embedder:
    """An embedder whose answer the test decides; it can be made to wait."""

    embedding_id = "test embedder"

    def __init__(self, answer: Any = (3.0, 4.0)) -> None:
        self.answer = answer
        self.calls: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)

    def embed(self, text: str) -> Any:
        self.calls.append(text)
        self.begun.release()
        assert self.gate.wait(20)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def embedder() -> Any:
    embedder = Embedder()
    yield embedder
    embedder.gate.set()


def blocking(embedding: Embedding, text: str) -> bytes:
    return embedding.embed(text)


def awaited(embedding: Embedding, text: str) -> bytes:
    return asyncio.run(embedding.aembed(text))


both = pytest.mark.parametrize("call", [blocking, awaited])


@both
@pytest.mark.parametrize(
    "vector",
    [[3, 4], (3.0, 4.0), np.array([3, 4]), np.array([0.3, 0.4], np.float16)],
)
def test_a_vector_becomes_one_of_unit_length(call: Call, embedder: Embedder, vector: Any) -> None:
    embedder.answer = vector
    data = call(Embedding(embedder, 5), "q")
    assert np.frombuffer(data, "<f4") == pytest.approx([0.6, 0.8], rel=1e-3)
    assert embedder.calls == ["q"]


@both
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([0.0, 0.0], "embedding_unusable"),
        ([float("nan"), 1.0], "embedding_unusable"),
        ([float("inf"), 1.0], "embedding_unusable"),
        ([], "embedding_unusable"),
        ([[3.0, 4.0]], "embedding_unusable"),
        (7.0, "embedding_unusable"),
        (None, "embedding_unusable"),
        ("vector", "embedding_failed"),
        (["a"], "embedding_failed"),
        ([[1.0], [1.0, 2.0]], "embedding_failed"),
        (ConnectionRefusedError(), "embedding_failed"),
        (TimeoutError(), "embedding_failed"),
        (EmbedTrouble("own reason"), "embedding_failed"),
    ],
    ids=repr,
)
def test_what_is_no_vector_is_a_trouble(
    call: Call, embedder: Embedder, answer: Any, reason: str
) -> None:
    embedder.answer = answer
    with pytest.raises(EmbedTrouble, match=f"^{reason}$") as caught:
        call(Embedding(embedder, 5), "q")
    assert caught.value.reason == reason


@both
def test_a_slow_embedder_costs_the_budget_and_not_more(call: Call, embedder: Embedder) -> None:
    embedder.gate.clear()
    with pytest.raises(EmbedTrouble, match=r"^embedding_timeout$"):
        call(Embedding(embedder, 0.01), "q")


def opened(embedding: Embedding, embedder: Embedder) -> None:
    """Fail until the breaker opens."""
    embedder.answer = ConnectionRefusedError()
    for _ in range(3):
        with pytest.raises(EmbedTrouble, match=r"^embedding_failed$"):
            embedding.embed("q")


@both
def test_after_three_failures_it_is_not_asked(call: Call, embedder: Embedder) -> None:
    embedding = Embedding(embedder, 5)
    opened(embedding, embedder)
    for _ in range(5):
        with pytest.raises(EmbedTrouble, match=r"^embedding_breaker_open$"):
            call(embedding, "q")
    assert len(embedder.calls) == 3


def test_a_probe_in_the_background_closes_the_breaker(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setattr(embedding_module.time, "monotonic", clock.monotonic)
    embedding = Embedding(embedder, 5)
    opened(embedding, embedder)
    embedder.answer = [3.0, 4.0]
    clock.advance(1)
    probed: list[Any] = []
    submit = embedding._pool.submit
    monkeypatch.setattr(
        embedding._pool, "submit", lambda *job: probed.append(submit(*job)) or probed[-1]
    )
    for _ in range(3):
        with pytest.raises(EmbedTrouble, match=r"^embedding_breaker_open$"):
            embedding.embed("q")
    assert len(probed) == 1
    probed[0].result(5)
    assert embedding.embed("q")
    assert len(embedder.calls) == 5


def test_a_failed_probe_keeps_it_open(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    monkeypatch.setattr(embedding_module.time, "monotonic", clock.monotonic)
    embedding = Embedding(embedder, 5)
    opened(embedding, embedder)
    embedding._probe("q")
    clock.advance(1.9)
    with pytest.raises(EmbedTrouble, match=r"^embedding_breaker_open$"):
        embedding.embed("q")
    assert len(embedder.calls) == 4


def test_one_that_waited_in_the_queue_does_not_count_against_the_embedder(
    embedder: Embedder,
) -> None:
    """A burst of questions is slow because of the burst; the next one is embedded again."""
    embedding = Embedding(embedder, 0.05)
    embedder.gate.clear()
    holding = [embedding._pool.submit(embedder.embed, "long") for _ in range(4)]
    for _ in range(4):
        assert embedder.begun.acquire(timeout=5)
    for _ in range(10):
        with pytest.raises(EmbedTrouble, match=r"^embedding_timeout$"):
            embedding.embed("q")
    embedder.gate.set()
    for one in holding:
        one.result(5)
    assert embedding.embed("after")
    assert embedder.calls == ["long"] * 4 + ["after"], "the queue was not emptied"


def test_one_that_was_begun_counts(embedder: Embedder) -> None:
    embedding = Embedding(embedder, 0.05)
    embedder.gate.clear()
    for _ in range(3):
        with pytest.raises(EmbedTrouble, match=r"^embedding_timeout$"):
            embedding.embed("q")
    with pytest.raises(EmbedTrouble, match=r"^embedding_breaker_open$"):
        embedding.embed("q")


def test_it_is_said_once_and_names_the_embedder(
    embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    opened(Embedding(embedder, 5), embedder)
    assert len(caplog.messages) == 1
    assert "test embedder" in caplog.messages[0]


async def test_a_hung_embedder_leaves_the_loop_and_its_executor_free(embedder: Embedder) -> None:
    embedder.gate.clear()
    embedding = Embedding(embedder, 20)
    asked = [asyncio.create_task(embedding.aembed("q")) for _ in range(64)]
    assert await asyncio.to_thread(embedder.begun.acquire, timeout=5)
    assert await asyncio.to_thread(int, "7") == 7
    assert len(embedder.calls) <= 4
    for task in asked[:32]:
        task.cancel()
    await asyncio.gather(*asked[:32], return_exceptions=True)
    embedder.gate.set()
    assert len(set(await asyncio.gather(*asked[32:]))) == 1


@both
def test_a_question_that_is_too_long_is_no_fault_of_the_embedder(
    call: Call, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    embedding = Embedding(embedder, 5)
    embedder.answer = TextTooLongError("m", "long", 0, 1)
    for _ in range(6):
        with pytest.raises(EmbedTrouble, match=r"^question_too_long$"):
            call(embedding, "long")
    embedder.answer = (3.0, 4.0)
    assert call(embedding, "q")
    assert not caplog.records


def test_a_probe_with_a_question_that_is_too_long_shows_that_the_embedder_works(
    embedder: Embedder,
) -> None:
    embedding = Embedding(embedder, 5)
    embedding._breaker._open = True
    embedder.answer = TextTooLongError("m", "long", 0, 1)
    embedding._probe("long")
    assert embedding._breaker.allow()
