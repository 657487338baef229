"""Questions inside conversations, through ChatAegis: what stands alone is shared, the rest not."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from aegis_llm import cache_control
from tests.langchain.kit import Kit, outcome, reason
from tests.unit.conversations import ALONE, LEANING, Talk


def talk(turns: tuple[str, ...], question: str) -> list[BaseMessage]:
    before = [AIMessage(t) if n % 2 else HumanMessage(t) for n, t in enumerate(turns)]
    return [SystemMessage("Be kind."), *before, HumanMessage(question)]


def askable(talks: tuple[Talk, ...]) -> list[Talk]:
    return [one for one in talks if one[1] and one[1].isprintable()]


def test_what_was_asked_alone_answers_what_stands_alone(kit: Kit) -> None:
    model = kit.aegis(local_max_bytes=0)
    for number, (turns, question) in enumerate(ALONE):
        with cache_control(tenant=str(number)):
            assert outcome(model.invoke(talk((), question))) == "miss", question
            assert outcome(model.invoke(talk(turns, question))) == "hit_semantic", question


def test_an_answer_of_a_conversation_stays_in_it(kit: Kit) -> None:
    """Other turns may have coloured it."""
    model = kit.aegis(local_max_bytes=0)
    turns, question = ALONE[0]
    reworded = question.replace("What is", "What's")
    assert outcome(model.invoke(talk(turns, question))) == "miss"
    assert outcome(model.invoke(talk((), question))) == "miss"
    assert reworded != question
    assert outcome(model.invoke(talk(ALONE[4][0], reworded))) == "hit_semantic"


def test_what_leans_on_its_history_is_never_answered_without_it(kit: Kit) -> None:
    model = kit.aegis(local_max_bytes=0)
    for number, (turns, question) in enumerate(askable(LEANING)):
        first, later = talk((), question), talk(turns, question)
        if number % 2:
            first, later = later, first
        with cache_control(tenant=str(number)):
            model.invoke(first)
            assert outcome(model.invoke(later)) == "miss", question


def test_two_histories_never_share_a_leaning_question(kit: Kit) -> None:
    model = kit.aegis(local_max_bytes=0)
    others = ("What do owls eat?", "Mice."), ("Which cheese is blue?", "Roquefort.")
    for number, (turns, question) in enumerate(askable(LEANING)[:36]):
        with cache_control(tenant=str(number)):
            model.invoke(talk(turns, question))
            for other in others:
                talked = model.invoke(talk((*turns, *other), question))
                assert outcome(talked) == "miss", question


def test_look_alikes_that_stand_alone_stay_apart(kit: Kit) -> None:
    model = kit.aegis(local_max_bytes=0)
    turns = ALONE[0][0]
    asked: list[tuple[tuple[str, ...], str]] = [
        ((), "What is the capital of France?"),
        (turns, "What is the capital of Finland?"),
        ((), "Who wrote Hamlet?"),
        (turns, "Who wrote Macbeth?"),
        ((), "What is 15% of 68?"),
        (turns, "What is 16% of 68?"),
    ]
    for before, question in asked:
        assert outcome(model.invoke(talk(before, question))) == "miss", question


def test_a_reworded_last_turn_is_found_across_conversations(kit: Kit) -> None:
    model = kit.aegis()
    one, other = ALONE[0][0], ALONE[4][0]
    answer = model.invoke(talk((), "What is the capital of France?"))
    assert outcome(model.invoke(talk(one, "What is the capital of France?"))) == "hit_semantic"
    again = model.invoke(talk(other, "What's the capital of France?"))
    assert outcome(again) == "hit_semantic"
    assert again.text == answer.text


def test_with_history_same_nothing_is_shared(kit: Kit) -> None:
    from aegis_llm import AegisConfig
    from tests.langchain.kit import PATIENT

    model: Any = kit.aegis(aegis=AegisConfig().with_options(history="same", **PATIENT))
    turns, question = ALONE[0]
    assert outcome(model.invoke(talk((), question))) == "miss"
    assert outcome(model.invoke(talk(turns, question))) == "miss"


def test_chance_is_asked_anew_and_records_repeat_exactly(kit: Kit) -> None:
    model = kit.aegis()
    for _ in range(2):
        rolled = model.invoke("Roll a die")
        assert (outcome(rolled), reason(rolled)) == ("bypass", "route_random")
    kit.embeddings.asked.clear()
    order = "What is the status of my order?"
    first = model.invoke(order)
    assert (outcome(first), reason(first)) == ("miss", "route_personal")
    assert outcome(model.invoke(order)) == "hit_local"
    assert outcome(model.invoke("What's the status of my order?")) == "miss"
    assert kit.embeddings.asked == []
