"""An embedder in trouble costs the semantic tier, never the answer nor the exact tier."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from tests.langchain.kit import Kit, Remembered, outcome, reason
from tests.langchain.ways import ainvoke, astream, invoke, stream

ASKED = "What is the capital of France?"
NEAR = "What's the capital of France?"
WAYS = {way.__name__: way for way in (invoke, ainvoke, stream, astream)}


class Broken(Embeddings):
    """Returns what it is told to, raises it, or hangs until released."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.released = threading.Event()
        self.asked = 0

    def embed_query(self, text: str) -> list[float]:
        self.asked += 1
        if isinstance(self.result, BaseException):
            raise self.result
        if self.result is None:
            self.released.wait()
            return [1.0]
        return list(self.result)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def hanging() -> Iterator[Broken]:
    embedder = Broken()
    yield embedder
    embedder.released.set()


BAD = {
    "raises": (ValueError("no such model"), "embedding_failed"),
    "exits": (SystemExit(1), "embedding_failed"),
    "empty": ([], "embedding_unusable"),
    "zero": ([0.0, 0.0], "embedding_unusable"),
    "not a number": ([float("nan"), 1.0], "embedding_unusable"),
    "infinite": ([float("inf"), 1.0], "embedding_unusable"),
    "nested": ([[1.0]], "embedding_unusable"),
    "words": (["a", "b"], "embedding_failed"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_failing_embedder(
    kit: Kit, way: Any, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    result, expected = BAD[bad]
    model = kit.aegis(embeddings=Broken(result))
    answer: Any = None
    for number in range(6):
        answer = await way(model, f"How much is {number} + 1?")
        assert answer.text == f"{number} + 1 is {number + 1}."
        assert outcome(answer) == "miss"
        assert reason(answer) in (expected, "embedding_breaker_open")
        assert outcome(await way(model, f"How much is {number} + 1?")) == "hit_local"
    assert reason(answer) == "embedding_breaker_open"
    told = [
        r
        for r in caplog.records
        if r.name == "aegis_llm"
        and r.levelno >= logging.WARNING
        and "never calibrated" not in r.getMessage()
    ]
    assert len(told) == 1
    assert "embedder" in told[0].getMessage()


async def test_a_hanging_embedder(kit: Kit, way: Any, hanging: Broken) -> None:
    model = kit.aegis(embeddings=hanging, embed_timeout_ms=20)
    answer: Any = None
    for number in range(8):
        answer = await way(model, f"How much is {number} + 1?")
        assert answer.text == f"{number} + 1 is {number + 1}."
        assert reason(answer) in ("embedding_timeout", "embedding_breaker_open")
    assert reason(answer) == "embedding_breaker_open"
    assert outcome(await way(model, "How much is 0 + 1?")) == "hit_local"
    assert hanging.asked <= 5


async def test_another_embedder_is_another_index(kit: Kit, way: Any) -> None:
    class Reversed(Remembered):
        """The same vectors in another order: nonsense beside the others."""

        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(text)[::-1]

    class Short(Remembered):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(text)[:64]

    for embedder in (kit.embeddings, Reversed(kit.embeddings), Short(kit.embeddings)):
        model = kit.aegis(embeddings=embedder, local_max_bytes=0, seed=1)
        assert outcome(await way(model, ASKED)) in ("miss", "hit_exact")
    for number, embedder in enumerate((Reversed(kit.embeddings), Short(kit.embeddings))):
        model = kit.aegis(embeddings=embedder, local_max_bytes=0, seed=2 + number)
        assert outcome(await way(model, ASKED)) == "miss"
        assert outcome(await way(model, NEAR)) == "hit_semantic"


def test_a_name_given_for_the_embedder(kit: Kit) -> None:
    one = kit.aegis(embedding_id="minilm", local_max_bytes=0)
    assert outcome(one.invoke(ASKED)) == "miss"

    class Renamed(Remembered):
        pass

    other = kit.aegis(embedding_id="minilm", embeddings=Renamed(kit.embeddings), local_max_bytes=0)
    assert outcome(other.invoke(NEAR)) == "hit_semantic"
    apart = kit.aegis(embeddings=Renamed(kit.embeddings), local_max_bytes=0)
    assert outcome(apart.invoke("What is the capital of France")) == "miss"


async def test_an_embedder_that_comes_back(kit: Kit) -> None:
    class Flaky(Remembered):
        fails = 1

        def embed_query(self, text: str) -> list[float]:
            if self.fails:
                self.fails -= 1
                raise RuntimeError("not yet")
            return super().embed_query(text)

    model = kit.aegis(embeddings=Flaky(kit.embeddings))
    assert reason(model.invoke("How much is 1 + 1?")) == "embedding_failed"
    assert outcome(model.invoke(ASKED)) == "miss"
    assert outcome(model.invoke(NEAR)) == "hit_semantic"


def test_an_embedder_around_another_is_named_after_both(kit: Kit) -> None:
    class Around(Embeddings):
        def __init__(self, inner: Embeddings) -> None:
            self.inner = inner

        def embed_query(self, text: str) -> list[float]:
            return self.inner.embed_query(text)

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return self.inner.embed_documents(texts)

    class Reversed(Remembered):
        def embed_query(self, text: str) -> list[float]:
            return super().embed_query(text)[::-1]

    one = kit.aegis(embeddings=Around(kit.embeddings), local_max_bytes=0)
    other = kit.aegis(embeddings=Around(Reversed(kit.embeddings)), local_max_bytes=0)
    assert outcome(one.invoke(ASKED)) == "miss"
    assert outcome(other.invoke(NEAR)) == "miss"
    assert outcome(other.invoke("What is the capital of France")) == "hit_semantic"
    assert kit.calls == 2
