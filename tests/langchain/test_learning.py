"""Learning on real traffic: shadow mode, checks of hits, the alarm, shared labels."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from aegis_llm import Counts
from aegis_llm.learning.ledger import Label
from tests.langchain.kit import Kit, auntil, outcome, reason, until
from tests.langchain.learning_kit import (
    ANSWER,
    FIRST,
    REWORDED,
    Model,
    anew,
    idle,
    judged,
    verdict,
)


def test_shadow_mode_serves_nothing_and_labels_what_it_would_have(kit: Kit, model: Model) -> None:
    llm = kit.aegis(shadow=True, temperature=0)
    llm.invoke(FIRST)
    missed = llm.invoke(REWORDED)
    told = missed.response_metadata["aegis"]
    assert (told["outcome"], told["reason"]) == ("miss", "shadow_hit")
    assert told["matched_question"] == FIRST
    assert 0.5 < told["similarity"] <= 1
    assert len(told["entry_id"]) == 64
    until(lambda: llm.labels().right == 1)
    model.says = "Bananas are rich in potassium, which muscles need."
    llm.invoke("How do I change my password?")
    until(lambda: llm.labels().wrong == 1)
    assert llm.labels().window == Counts(1, 1)
    assert verdict(llm, "How do I change my password?") == "different"


@pytest.mark.parametrize("way", ["stream", "astream", "ainvoke"])
def test_every_way_to_call_is_compared(kit: Kit, model: Model, way: str) -> None:
    llm = kit.aegis(shadow=True)

    async def ask(question: str) -> None:
        if way == "stream":
            await asyncio.to_thread(lambda: list(llm.stream(question)))
        elif way == "astream":
            async for _ in llm.astream(question):
                pass
        else:
            await llm.ainvoke(question)

    async def both() -> None:
        await ask(FIRST)
        await ask(REWORDED)
        await auntil(lambda: llm.labels().right == 1)

    asyncio.run(both())


def test_answers_in_other_words_are_compared_by_meaning_and_then_by_the_judge(
    kit: Kit, model: Model
) -> None:
    llm = kit.aegis(shadow=True)
    llm.invoke(FIRST)
    model.says = "Open the settings, and then choose Reset."
    llm.invoke(REWORDED)
    until(lambda: llm.labels().right == 1)
    assert judged(kit) == []
    model.says = "Go to the settings page where you find a button that resets it."
    llm.invoke("What is the best way to reset my password?")
    until(lambda: llm.labels().right == 2)
    assert len(judged(kit)) == 1
    model.judges = "NO"
    llm.invoke("Tell me the way to reset my password")
    until(lambda: llm.labels().wrong == 1)


def test_hits_are_checked_in_idle_time(kit: Kit, model: Model) -> None:
    llm = kit.aegis(check_hits=1.0, temperature=0.5, num_ctx=2048)
    llm.invoke(FIRST)
    calls = kit.calls
    assert outcome(llm.invoke(REWORDED)) == "hit_semantic"
    until(lambda: llm.labels().right == 1)
    assert kit.calls == calls + 1
    body = kit.ollama.calls[-1].body
    assert body["messages"] == [{"role": "user", "content": REWORDED}]
    assert body["options"] == {"num_ctx": 2048, "temperature": 0.5}
    assert outcome(llm.invoke(REWORDED)) == "hit_local"


def test_a_wrong_hit_is_served_once(kit: Kit, model: Model) -> None:
    llm = kit.aegis(check_hits=1.0, temperature=0)
    llm.invoke(FIRST)
    model.says = "Bananas are rich in potassium, which muscles need."
    assert llm.invoke(REWORDED).content == ANSWER
    until(lambda: llm.labels().wrong == 1)
    missed = llm.invoke(REWORDED)
    assert (outcome(missed), reason(missed)) == ("miss", "pair_refused")
    assert missed.content == model.says


@pytest.mark.parametrize("temperature", [None, 0.7])
def test_above_temperature_0_two_checks_have_to_find_a_hit_wrong(
    kit: Kit, model: Model, temperature: float | None
) -> None:
    llm = kit.aegis(check_hits=0.0001, temperature=temperature)
    llm._answering.service.learner._rules = msgspec.structs.replace(
        llm._answering.service.rules, random=iter([0.0, 0.9]).__next__
    )
    llm.invoke(FIRST)
    model.says = "Bananas are rich in potassium, which muscles need."
    assert llm.invoke(REWORDED).content == ANSWER
    idle(llm)
    assert (llm.labels().wrong, verdict(llm)) == (1, None)
    hit = llm.invoke(REWORDED)  # the dice say no check, the doubt says one
    assert (outcome(hit), hit.content) == ("hit_semantic", ANSWER)
    until(lambda: llm.labels().wrong == 2)
    assert verdict(llm) == "different"
    assert reason(llm.invoke(REWORDED)) == "pair_refused"


def test_the_alarm_stops_hits_by_meaning_and_lets_them_come_back(
    kit: Kit, model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    llm = kit.aegis()
    llm.invoke(FIRST)
    assert outcome(llm.invoke(REWORDED)) == "hit_semantic"
    notebook = llm._answering.service.learner.notebook
    for number in range(25):
        notebook.add_label(Label(f"{number}", number > 5, "check"))
    assert llm.labels().drift
    for question in ("What is the best way to reset my password?", "How can I reset a password?"):
        missed = llm.invoke(question)
        assert (outcome(missed), reason(missed)) == ("miss", "drift")
    until(lambda: llm.labels().right == 21)  # the misses were labelled
    assert outcome(llm.invoke(FIRST)).startswith("hit_")
    for number in range(200):
        notebook.add_label(Label(f"{number}", True, "shadow"))
    assert not llm.labels().drift
    assert outcome(llm.invoke("Tell me how to reset my password")) == "hit_semantic"
    said = [message for message in caplog.messages if "hits by meaning" in message]
    assert len(said) == 2


def test_labels_are_shared_and_survive_a_restart(kit: Kit, model: Model) -> None:
    llm = kit.aegis(shadow=True)
    llm.invoke(FIRST)
    llm.invoke(REWORDED)
    until(lambda: llm.labels().right == 1)
    anew(llm)
    again = kit.aegis()
    again._answering.service.learner.notebook.read()
    assert again.labels().right == 1
    assert again.labels().window == Counts(1, 0)
