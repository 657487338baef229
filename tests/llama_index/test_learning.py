"""The judge, shadow mode, checks and rejections through AegisOllama."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ollama import Client

import aegis_llm
from aegis_llm import observe, wiring
from aegis_llm.learning.ledger import Label
from aegis_llm.matching import Verdict
from aegis_llm.testing import answers
from aegis_llm.testing.reading import Reading
from aegis_llm.values import Candidate
from tests.contracts.kit import until
from tests.llama_index.kit import Kit, ask, origin, outcome

FIRST = "How do I reset my password?"
REWORDED = "What is the way to reset my password?"


class Matcher:
    """Stands for a matcher that is sure of everything, or sure of nothing."""

    grey = False
    scores = True
    threshold = 0.95

    def __init__(self, config: Any, embedder: str | None = None) -> None:
        pass

    def choose(self, asked: str, candidates: Sequence[Candidate]) -> Verdict:
        nearest = candidates[0] if candidates else None
        if nearest is None or not self.grey:
            return Verdict(nearest, "" if nearest else "no_candidate")
        return Verdict(None, "below_score", grey=nearest)


def _says(reading: Reading) -> str:
    return "YES" if "question_a" in reading.question else "Open the settings."


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "Matcher", Matcher)
    monkeypatch.setattr(answers, "answer", _says)
    monkeypatch.setattr(Matcher, "grey", False)


REJECTIONS: dict[str, Callable[[Any, Any, Any], bool]] = {
    "the response": lambda llm, response, told: llm.reject(response),
    "its metadata": lambda llm, response, told: llm.reject(response.additional_kwargs["aegis"]),
    "its id": lambda llm, response, told: llm.reject(told.entry_id),
    "its origin": lambda llm, response, told: told.reject(),
    "awaited": lambda llm, response, told: asyncio.run(llm.areject(response)),
}


@pytest.mark.parametrize("way", REJECTIONS)
def test_a_rejected_answer_is_gone(kit: Kit, way: str) -> None:
    llm = kit.aegis()
    llm.chat(ask(FIRST))
    with observe() as seen:
        hit = llm.chat(ask(REWORDED))
    assert outcome(hit) == "hit_semantic"
    assert REJECTIONS[way](llm, hit, seen[0])
    assert llm.labels().wrong == 1
    assert outcome(llm.chat(ask(FIRST))) == "miss"
    missed = llm.chat(ask(REWORDED))
    assert (outcome(missed), origin(missed)["reason"]) == ("miss", "pair_refused")


def test_an_answer_of_the_model_has_nothing_to_reject(kit: Kit) -> None:
    llm = kit.aegis()
    assert llm.reject(llm.chat(ask(FIRST))) is False
    with pytest.raises(aegis_llm.ConfigError):
        llm.reject(None)


def test_before_serving_the_judge_decides(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Matcher, "grey", True)
    llm = kit.aegis(judge="serve", context_window=2048)
    llm.chat(ask(FIRST))
    assert outcome(llm.chat(ask(REWORDED))) == "hit_semantic"
    assert kit.body["options"]["num_ctx"] == 2048
    assert kit.body["options"]["num_predict"] == 8


def test_in_the_background_through_the_users_own_client(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Matcher, "grey", True)
    llm = kit.aegis(client=Client(host=kit.ollama.base_url))
    llm.chat(ask(FIRST))
    llm.chat(ask(REWORDED))
    learned = llm.answering.service.rules.learned
    until(lambda: len(learned.pairs) == 1)
    assert learned.verdict(FIRST, REWORDED, "") is None  # so it is not a refusal


def test_hits_are_checked_and_shadow_hits_labelled(kit: Kit) -> None:
    checked = kit.aegis(check_hits=1.0)
    checked.chat(ask(FIRST))
    checked.chat(ask(REWORDED))
    until(lambda: checked.labels().right == 1)
    shadow = kit.aegis(shadow=True)
    told = origin(shadow.chat(ask("What is the best way to reset my password?")))
    assert (told["outcome"], told["reason"]) == ("miss", "shadow_hit")
    until(lambda: shadow.labels().right >= 1)


def test_a_judge_that_hangs_holds_up_nobody(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Matcher, "grey", True)
    llm = kit.aegis(judge_model="mistral:7b")
    llm.chat(ask(FIRST))
    missed = llm.chat(ask(REWORDED))
    kit.ollama.faults.hang(path="/api/chat")  # whoever comes next: the judge
    assert outcome(missed) == "miss"
    until(lambda: kit.ollama.count("/api/chat") == 3)
    assert outcome(llm.chat(ask(REWORDED))).startswith("hit_")
    assert outcome(llm.chat(ask("Which door leads to the garden?"))) == "miss"
    kit.ollama.faults.release()


def test_a_judge_that_hangs_before_serving_is_a_miss(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Matcher, "grey", True)
    llm = kit.aegis(judge="serve")
    llm.chat(ask(FIRST))
    monkeypatch.setattr(llm.answering.service.learner._judge, "_budget", 0.05)
    kit.ollama.faults.hang(path="/api/chat")
    missed = llm.chat(ask(REWORDED))
    assert (outcome(missed), origin(missed)["reason"]) == ("miss", "judge_failed")
    kit.ollama.faults.release()


def test_an_entry_that_was_wrong_too_often_answers_its_own_question_only(kit: Kit) -> None:
    llm = kit.aegis()
    with observe() as seen:
        for _ in range(2):
            llm.chat(ask(FIRST))
    for _ in range(2):
        label = Label(seen[-1].entry_id or "", False, "check")
        llm.answering.service.learner.notebook.add_label(label)
    missed = llm.chat(ask(REWORDED))
    assert (outcome(missed), origin(missed)["reason"]) == ("miss", "entry_distrusted")
    assert outcome(llm.chat(ask(FIRST))).startswith("hit_")
