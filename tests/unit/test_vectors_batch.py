"""One batch of several callers: each text once, and a fault is its own caller's alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.drivers import run
from aegis_llm.errors import EmbeddingError
from aegis_llm.vectors import Ask, Cut, TooLong, batch_plan
from aegis_llm.vectors.codec import pack, unpack

LIMIT = 10


class RefusedError(Exception):
    """What the official client raises, as far as the plan looks at it."""

    def __init__(self, status_code: int, text: str) -> None:
        super().__init__(text)
        self.status_code = status_code


class Server:
    """Embeds a text as its length and the place of its first letter; refuses what is too long."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.error: Exception | None = None
        self.poison = "\0"

    def __call__(self, ask: Ask) -> Any:
        self.asked.append(ask)
        if self.error is not None:
            raise self.error
        if self.poison in ask.texts:
            raise RefusedError(500, "failed to encode response: json: unsupported value: NaN")
        if not ask.truncate and any(len(text) > LIMIT for text in ask.texts):
            raise RefusedError(400, "the input length exceeds the context length")
        return [vector_of(text) for text in ask.texts]


def vector_of(text: str) -> list[float]:
    return [float(min(len(text), LIMIT)), float(ord(text[0])) if text else -1.0]


@pytest.fixture
def server() -> Server:
    return Server()


def sent(server: Server, *callers: Sequence[str], cut: bool = False) -> list[Any]:
    return run(batch_plan([tuple(texts) for texts in callers], cut=cut), server)


def numbers(outcomes: Any) -> list[list[float]]:
    return [unpack(one.vector if isinstance(one, Cut) else one) for one in outcomes]


def test_texts_of_all_callers_are_one_request_each_text_once(server: Server) -> None:
    results = sent(server, ["b", "a", "b"], ["c"], [], ["a", "c"])
    assert [ask.texts for ask in server.asked] == [("b", "a", "c")]
    assert not server.asked[0].truncate
    assert [numbers(one) for one in results] == [
        [vector_of(text) for text in texts]
        for texts in (["b", "a", "b"], ["c"], [], ["a", "c"])
    ]  # fmt: skip


def test_many_texts_are_several_requests(server: Server) -> None:
    texts = [f"{n}" for n in range(600)]
    (result,) = sent(server, texts)
    assert numbers(result) == [vector_of(text) for text in texts]
    assert [len(ask.texts) for ask in server.asked] == [256, 256, 88]


TEXTS = st.lists(st.text("abc", max_size=2 * LIMIT), max_size=12)


@given(st.lists(TEXTS, min_size=1, max_size=6), st.booleans())
def test_only_texts_that_are_too_long_have_no_vector(callers: list[list[str]], cut: bool) -> None:
    server = Server()
    results = sent(server, *callers, cut=cut)
    for texts, outcomes in zip(callers, results, strict=True):
        for text, outcome in zip(texts, outcomes, strict=True):
            if len(text) <= LIMIT:
                assert outcome == pack(vector_of(text))
            elif cut:
                assert outcome == Cut(pack(vector_of(text)))
            else:
                assert isinstance(outcome, TooLong)
    unique = {text for texts in callers for text in texts}
    assert len(server.asked) <= 2 * len(unique)


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (2, 2), (8, 4), (32, 6), (64, 7)])
def test_one_text_that_is_too_long_costs_a_request_for_each_half(
    server: Server, count: int, requests: int
) -> None:
    texts = [f"t{n}" for n in range(count - 1)]
    results = sent(server, *([text] for text in texts), ["x" * 99])
    assert [numbers(one) for one in results[:-1]] == [[vector_of(text)] for text in texts]
    assert isinstance(results[-1][0], TooLong)
    assert "context length" in str(results[-1][0].error)
    assert len(server.asked) == requests


def test_several_texts_that_are_too_long_are_looked_for_among_the_longest(
    server: Server,
) -> None:
    texts = [f"{'x' * 90}{n}" if n % 4 == 0 else f"t{n}" for n in range(32)]
    results = sent(server, *([text] for text in texts))
    assert sum(isinstance(one[0], TooLong) for one in results) == 8
    assert len(server.asked) == 17


def test_a_long_text_that_fits_does_not_take_the_blame(server: Server) -> None:
    """Length in letters tells where to look first, the server tells what is too long."""

    def tokens(ask: Ask) -> Any:
        server.asked.append(ask)
        if any(text.startswith("dense") for text in ask.texts):
            raise RefusedError(400, "the input length exceeds the context length")
        return [vector_of(text) for text in ask.texts]

    callers = [["dense"], *([f"{n}" * 9] for n in range(10, 25))]
    results = run(batch_plan([tuple(one) for one in callers]), tokens)
    assert isinstance(results[0][0], TooLong)
    assert [numbers(one) for one in results[1:]] == [[vector_of(one[0])] for one in callers[1:]]


def test_a_refusal_that_one_text_may_have_caused_leaves_each_caller_to_itself(
    server: Server,
) -> None:
    server.poison = "nan"
    good, bad, other = sent(server, ["a", "b"], ["c", "nan"], ["b"])
    assert numbers(good) == [vector_of("a"), vector_of("b")]
    assert isinstance(bad, RefusedError)
    assert numbers(other) == [vector_of("b")]
    assert [ask.texts for ask in server.asked[1:]] == [("a", "b"), ("c", "nan"), ("b",)]


def test_a_caller_alone_is_asked_for_once(server: Server) -> None:
    server.poison = "nan"
    (error,) = sent(server, ["a", "nan"])
    assert isinstance(error, RefusedError)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "error", [RefusedError(404, "unknown"), RefusedError(503, "busy"), ConnectionError("refused")]
)
def test_the_fault_of_no_text_is_told_to_all_after_one_request(
    server: Server, error: Exception
) -> None:
    server.error = error
    assert sent(server, ["a"], ["b"], ["c", "d"]) == [error] * 3
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "reply", [[], [[1.0]], [[1.0], [1.0, 2.0]], [[], []], [[1.0], None], [["x"], [1.0]], None]
)
def test_a_reply_that_is_not_a_vector_for_each_text_is_an_error(reply: Any) -> None:
    (error,) = run(batch_plan([("a", "b")]), lambda _: reply)
    assert isinstance(error, EmbeddingError)


def test_whoever_ends_the_program_is_not_held_up(server: Server) -> None:
    def stop(_: Ask) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(batch_plan([("a",), ("b",)]), stop)
