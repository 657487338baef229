"""The semantic tier's part of a request: who may ask it, and which neighbour may answer."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.values import Control, Origin, Request
from tests.unit.planning import (
    NOW,
    QUESTION,
    Hand,
    ask,
    entry_for,
    hash_of,
    key_of,
    near,
    opened,
    scope_of,
)

REWORDED = "How should I water a cactus?"
USER = {"role": "user", "content": QUESTION}


def test_a_near_question_of_the_scope_answers() -> None:
    hand = Hand(Nearest=[(near(REWORDED), 0.97)])
    result = opened(hand)
    assert result.origin == Origin(
        "hit_semantic",
        similarity=0.97,
        age_s=5.0,
        entry_id="e" * 64,
        matched_question=REWORDED,
        saved_tokens=10,
    )
    assert hand.names[-4:] == ["Nearest", "Recall", "KeepLocal", "Settle"]
    assert hand.log[-1] == p.Settle(hand.flight, result.entry)


def test_its_answer_is_kept_locally_under_the_key_of_the_request() -> None:
    hand = Hand(Nearest=[(near(REWORDED), 0.97)])
    opened(hand)
    kept = hand.effects(p.KeepLocal)[0]
    assert kept.key == key_of(ask())
    assert kept.ttl_s == 60.0
    again = Hand(GetLocal=kept.data)
    result = opened(again)
    assert again.names == ["Digest", "GetLocal"]
    assert result.origin.outcome == "hit_local"
    assert result.origin.matched_question == REWORDED


def test_the_surest_that_no_gate_refuses_answers() -> None:
    answers = [
        (near("How do I water 7 cacti?", key="a" * 64), 0.99),
        (near(REWORDED, key="b" * 64), 0.95),
        (near(QUESTION, key="c" * 64), 0.93),
    ]
    assert opened(Hand(Nearest=answers)).origin.entry_id == "c" * 64
    assert opened(Hand(Nearest=answers[:2])).origin.entry_id == "b" * 64


@pytest.mark.parametrize(
    ("data", "similarity", "reason"),
    [
        (near(REWORDED), 0.4999, "below_threshold"),
        (near("How often do cacti need feeding?"), 0.6, "below_score"),
        (near(REWORDED), float("nan"), "below_threshold"),
        (near("How do I water 7 cacti?"), 0.99, "veto_numbers"),
        (near(REWORDED, question=None), 0.99, "no_question_text"),
        (near(REWORDED, scope="other"), 0.99, "no_candidate"),
        (near(REWORDED, expires_ms=NOW), 0.99, "no_candidate"),
        (b"junk", 0.99, "no_candidate"),
    ],
    ids=["threshold", "score", "nan", "veto", "no text", "other scope", "expired", "junk"],
)
def test_a_neighbour_that_may_not_answer(data: bytes, similarity: float, reason: str) -> None:
    hand = Hand(Nearest=[(data, similarity)])
    result = opened(hand)
    assert result.origin == Origin("miss", reason)
    assert result.ticket is not None
    assert result.ticket.vector is not None
    assert "KeepLocal" not in hand.names
    assert "Settle" not in hand.names


@pytest.mark.parametrize(("similarity", "hit"), [(0.8, True), (0.7999, False)])
def test_the_threshold_is_a_setting(similarity: float, hit: bool) -> None:
    hand = Hand(Nearest=[(near(REWORDED), similarity)])
    assert (opened(hand, similarity=0.8).entry is not None) is hit


def test_the_number_of_neighbours_is_a_setting() -> None:
    hand = Hand()
    opened(hand, neighbours=9)
    assert hand.effects(p.Nearest)[0].count == 9


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ask(params={"tools": [{"type": "function"}]}), "tools_bound"),
        (ask(messages=(USER, {"role": "tool", "content": "1"}, USER)), "tool_message"),
        (
            ask(messages=({"role": "assistant", "tool_calls": [{"function": {}}]}, USER)),
            "tool_message",
        ),
        (ask(messages=({**USER, "images": [b"png"]},)), "images"),
        (ask(messages=({**USER, "images": [b"png"]}, {"role": "assistant"}, USER)), "images"),
        (ask(exact_only="unreadable_prompt"), "unreadable_prompt"),
        (ask(""), "empty_question"),
        (ask(messages=()), "no_messages"),
        (ask(messages=(USER, {"role": "assistant", "content": "Well"})), "last_message_not_user"),
        (ask(messages=({"role": "user", "content": None},)), "no_text"),
        (ask("Here is a text.\n\nIt has two parts.\n\nAnd a third."), "question_not_separable"),
    ],
)  # fmt: skip
def test_what_keeps_to_the_exact_tier_is_not_embedded(request_: Request, reason: str) -> None:
    hand = Hand()
    result = opened(hand, request_)
    assert result.origin == Origin("miss", reason)
    assert hand.names == ["Digest", "GetLocal", "GetExact", "Join", "GetLocal"]
    assert result.ticket is not None
    assert result.ticket.vector is None
    exact = Hand(GetExact=codec.encode(entry_for(request_)))
    assert opened(exact, request_).origin.outcome == "hit_exact"


def test_a_question_beyond_the_window_is_not_embedded() -> None:
    """Its end would be cut off, so that two long questions looked the same."""
    hand = Hand()
    assert opened(hand, max_question_tokens=9).origin.reason == "question_too_long"
    assert "Embed" not in hand.names


def test_only_the_question_is_embedded() -> None:
    content = f"Context:\nWater is wet.\n\nQuestion: {QUESTION}\nAnswer:"
    hand = Hand()
    opened(hand, ask(content))
    assert hand.effects(p.Embed) == [p.Embed(QUESTION)]


def test_the_context_around_the_question_is_the_scope() -> None:
    scopes = set()
    for context in ("Water is wet.", "Water is dry."):
        hand = Hand()
        opened(hand, ask(f"Context:\n{context}\n\nQuestion: {QUESTION}\nAnswer:"))
        scopes.add(hand.effects(p.Nearest)[0].scope)
    assert len(scopes) == 2


def test_a_given_extractor_finds_the_question() -> None:
    request = ask("Here is a text.\n\nIt has two parts.\n\nHow high is Etna?")
    hand = Hand()
    opened(hand, request, extractor=lambda messages: str(messages[-1]["content"])[-17:])
    assert hand.effects(p.Embed) == [p.Embed("How high is Etna?")]


@pytest.mark.parametrize(
    "other",
    [
        ask(model="n:latest"),
        ask(params={"options": {"temperature": 0.6}}),
        ask(messages=({"role": "system", "content": "t"}, USER)),
        ask(messages=(USER,)),
    ],
)
def test_another_scope_for_every_other_part(other: Request) -> None:
    assert scope_of(other) != scope_of(ask())
    assert scope_of(ask(REWORDED)) == scope_of(ask())


def test_a_neighbour_of_another_tenant_never_answers() -> None:
    """Even if the store returned it."""
    data: Any = near(REWORDED)
    assert opened(Hand(Nearest=[(data, 0.99)])).entry is not None
    foreign = Hand(Nearest=[(data, 0.99)])
    assert opened(foreign, control=Control(tenant="acme")).origin.reason == "no_candidate"
    assert hash_of(ask(), Control(tenant="acme")) != hash_of(ask())
