"""`batch` of a ChatAegis: as many calls as its server has slots, whatever the processors."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from ollama import ResponseError

from aegis_llm import cache_control, observe
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import _many
from langchain_aegis._gate import MOST_THREADS, Gate
from tests.langchain.conftest import MODELS
from tests.langchain.kit import Kit, until
from tests.races.kit import done, start

SLOTS = 8
USUAL = 6
"""Threads that LangChain takes on a machine with two processors."""
QUESTIONS = [f"How many days are in {n} weeks?" for n in range(100)]


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaSimulator]:
    """A server with more slots than a machine with two processors has threads by default."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with OllamaSimulator(MODELS, num_parallel=SLOTS) as simulator:
        yield simulator


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> list[Gate]:
    """The gates that batches made."""
    made: list[Gate] = []

    class Kept(Gate):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(_many, "Gate", Kept)
    return made


def held(gate: Gate) -> int:
    """Return how many calls wait at a gate."""
    return len(gate._places._cond._waiters)  # type: ignore[attr-defined]


def numbers(answers: list[Any]) -> list[list[str]]:
    """Return the numbers of each answer's text, which tell what was asked."""
    return [re.findall(r"\d+", getattr(answer, "text", answer)) for answer in answers]


def test_a_hundred_inputs_keep_all_slots_busy_and_come_back_in_order(kit: Kit) -> None:
    model = kit.aegis(embeddings=None, num_parallel=SLOTS)
    alone = numbers([model.invoke(question) for question in QUESTIONS[:3]])
    kit.ollama.gate.clear()
    batch = start(lambda: model.batch(QUESTIONS[3:]))
    kit.ollama.wait_for(3 + SLOTS, "/api/chat")
    kit.ollama.gate.set()
    told = numbers(done([batch])[0])
    assert kit.ollama.peak_in_flight >= SLOTS
    assert kit.calls == len(QUESTIONS)
    assert alone + told == numbers(model.batch(QUESTIONS))
    assert len(set(map(str, alone + told))) == len(QUESTIONS)
    assert kit.calls == len(QUESTIONS)
    assert model.batch([]) == []


def test_a_chain_keeps_all_slots_busy(kit: Kit) -> None:
    prompt = ChatPromptTemplate.from_template("How many days are in {n} weeks?")
    chain = prompt | kit.aegis(embeddings=None, num_parallel=SLOTS) | StrOutputParser()
    kit.ollama.gate.clear()
    batch = start(lambda: chain.batch([{"n": n} for n in range(20)]))
    kit.ollama.wait_for(SLOTS, "/api/chat")
    kit.ollama.gate.set()
    assert len(set(done([batch])[0])) == 20


@pytest.mark.parametrize("way", ["one config", "a config each", "of the chain"])
def test_max_concurrency_holds(kit: Kit, way: str) -> None:
    model = kit.aegis(embeddings=None)
    two: Any = {"max_concurrency": 2}
    if way == "of the chain":
        RunnableLambda(lambda asked: model.batch(asked)).invoke(QUESTIONS[:8], two)
    else:
        model.batch(QUESTIONS[:8], two if way == "one config" else [two] * 8)
    assert kit.calls == 8
    assert kit.ollama.peak_in_flight <= 2


@pytest.mark.parametrize("count", [1, 20])
def test_an_input_that_fails_is_an_exception_in_its_place(kit: Kit, count: int) -> None:
    model = kit.aegis(embeddings=None)
    asked: list[Any] = ["What is the capital of France?", object(), *QUESTIONS[:count]]
    told = model.batch(asked, return_exceptions=True)
    assert isinstance(told[1], ValueError)
    assert told[0].text == model.invoke(asked[0]).text
    assert told[2].text == model.invoke(asked[2]).text
    with pytest.raises(ValueError, match="Invalid input type"):
        model.batch(asked)
    kit.ollama.faults.status(500, {"error": "broken"}, n=100)
    with pytest.raises(ResponseError, match="broken"):
        model.batch(QUESTIONS[30 : 33 + count])


def test_each_answer_as_soon_as_it_is_there(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    known = model.invoke(QUESTIONS[5])
    kit.ollama.gate.clear()
    answers = model.batch_as_completed(QUESTIONS[:8])
    assert kit.calls == 1, "nothing happens before it is read"
    place, first = done([start(lambda: next(answers))])[0]
    assert (place, first.text) == (5, known.text)
    kit.ollama.gate.set()
    assert sorted([place for place, _ in answers]) == [0, 1, 2, 3, 4, 6, 7]


def test_the_blocks_around_hold_in_every_thread(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    with observe() as seen, cache_control(tenant="a"):
        model.batch(QUESTIONS[:8])
        model.batch(QUESTIONS[:8])
    with observe() as other, cache_control(tenant="b"):
        model.batch(QUESTIONS[:8])
    assert seen.hits == 8
    assert other.outcomes == ["miss"] * 8


def test_no_more_threads_than_there_is_use_for() -> None:
    for count, threads in ((7, 7), (10_000, MOST_THREADS)):
        with Gate(6, count, lambda: True).executor() as executor:
            assert executor._max_workers == threads


@pytest.mark.parametrize("slots", [1, SLOTS])
def test_while_slots_are_unknown_each_answer_lets_one_more_go(
    kit: Kit, gates: list[Gate], slots: int
) -> None:
    known = 3
    with OllamaSimulator(MODELS, num_parallel=slots) as kit.ollama:
        model = kit.aegis(embeddings=None)
        alone = numbers([model.invoke(question) for question in QUESTIONS[:known]])
        kit.ollama.gate.clear()
        batch = start(lambda: model.batch(QUESTIONS[:40]))
        until(lambda: bool(gates) and held(gates[0]) == 40 - USUAL - 2 * known)
        kit.ollama.wait_for(known + USUAL + known, "/api/chat")
        assert kit.calls == known + USUAL + known
        kit.ollama.gate.set()
        told = numbers(done([batch])[0])
        assert told[:known] == alone
        assert len(set(map(str, told))) == 40
        assert kit.calls == 40


def test_when_the_slots_become_known_all_go() -> None:
    known, end, inside = threading.Event(), threading.Event(), threading.Barrier(10)

    def call(place: int) -> int:
        with gate:
            if place == 0:
                end.wait(10)
            else:
                inside.wait(10)
        return place

    gate = Gate(2, 10, known.is_set)
    with gate.executor() as executor:
        calls = executor.map(call, range(10))
        until(lambda: held(gate) == 8)
        known.set()
        end.set()
        inside.wait(10)
        assert list(calls) == list(range(10))


@pytest.mark.parametrize("way", ["batch", "batch_as_completed"])
def test_without_a_schedule_it_is_as_in_langchain(kit: Kit, gates: list[Gate], way: str) -> None:
    model = kit.aegis(embeddings=None, schedule=False)
    kit.ollama.gate.clear()
    ask = model.batch if way == "batch" else lambda asked: list(model.batch_as_completed(asked))
    batch = start(lambda: ask(QUESTIONS[:20]))
    kit.ollama.wait_for(USUAL, "/api/chat")
    kit.ollama.gate.set()
    assert len(done([batch])[0]) == 20
    assert kit.ollama.peak_in_flight == USUAL
    assert gates == []


def test_who_stops_reading_has_no_more_calls_made(kit: Kit, gates: list[Gate]) -> None:
    model = kit.aegis(embeddings=None)
    model.invoke(QUESTIONS[0])
    kit.ollama.gate.clear()
    answers = model.batch_as_completed(QUESTIONS[:20])
    assert done([start(lambda: next(answers))])[0][0] == 0
    kit.ollama.wait_for(1 + USUAL + 1, "/api/chat")
    closing = start(answers.close)
    until(lambda: held(gates[0]) == 0)
    kit.ollama.gate.set()
    done([closing])
    assert kit.calls == 1 + USUAL + 1


def test_ctrl_c_leaves_no_call_waiting() -> None:
    gate = Gate(0, 10, lambda: False)
    calls = []

    def call() -> None:
        with gate:
            pytest.fail("it was made")

    def interrupted() -> None:
        with gate.executor() as executor:
            calls.extend(executor.submit(call) for _ in range(10))
            until(lambda: held(gate) == 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [type(call.exception(0)) for call in calls] == [CancelledError] * 10
