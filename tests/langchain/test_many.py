"""`batch` of a ChatAegis: all inputs at once, whatever the number of processors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from ollama import ResponseError

from aegis_llm import cache_control, observe
from aegis_llm.testing import OllamaSimulator
from langchain_aegis._many import at_once
from tests.langchain.conftest import MODELS
from tests.langchain.kit import Kit
from tests.races.kit import done, start

SLOTS = 8
QUESTIONS = [f"How many days are in {n} weeks?" for n in range(100)]


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaSimulator]:
    """A server with more slots than a machine with two processors has threads by default."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with OllamaSimulator(MODELS, num_parallel=SLOTS) as simulator:
        yield simulator


def numbers(answers: list[Any]) -> list[list[str]]:
    """Return the numbers of each answer's text, which tell what was asked."""
    return [re.findall(r"\d+", getattr(answer, "text", answer)) for answer in answers]


def test_a_hundred_inputs_keep_all_slots_busy_and_come_back_in_order(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
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
    chain = prompt | kit.aegis(embeddings=None) | StrOutputParser()
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


def test_an_input_that_fails_is_an_exception_in_its_place(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    asked: list[Any] = ["What is the capital of France?", object(), "What is two and two?"]
    told = model.batch(asked, return_exceptions=True)
    assert isinstance(told[1], ValueError)
    assert told[0].text == model.invoke(asked[0]).text
    assert told[2].text == model.invoke(asked[2]).text
    with pytest.raises(ValueError, match="Invalid input type"):
        model.batch(asked)
    kit.ollama.faults.status(500, {"error": "broken"}, n=100)
    with pytest.raises(ResponseError, match="broken"):
        model.batch(QUESTIONS[:4])


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
    assert at_once(None, 3)[0]["max_concurrency"] == 3
    assert at_once(None, 10_000)[0]["max_concurrency"] == 256
    assert at_once([{"max_concurrency": 7}, {}], 2)[0]["max_concurrency"] == 7
    assert "max_concurrency" not in at_once(None, 2)[1]
    assert at_once(None, 0) == []
