"""What becomes of a model's answer: where it is kept, for how long, and when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.errors import StoreTrouble
from aegis_llm.keys import tenant_tag
from aegis_llm.values import Answer, Control, Request, ToolCall
from tests.unit.planning import (
    DIGEST,
    NOW,
    QUESTION,
    VECTOR,
    Hand,
    ask,
    hash_of,
    key_of,
    opened,
    rules,
    scope_of,
)

GOOD = Answer(text="Rarely.", done_reason="stop", prompt_tokens=7)
CALL = Answer(tool_calls=(ToolCall("water", {"plant": "cactus"}),), done_reason="stop")


def closed(
    *answers: Answer,
    request: Request | None = None,
    control: Control | None = None,
    replies: dict[str, Any] | None = None,
    random: float = 0.0,
    **settings: Any,
) -> tuple[Hand, str]:
    """Miss with these settings, then close with these answers; return the second plan's log."""
    ticket = opened(Hand(), request, control, **settings).ticket
    assert ticket is not None
    hand = Hand(**(replies or {}))
    plan = p.close_plan(ticket, answers, rules(random=random, **settings))
    return hand, hand.drive(plan)


def test_an_answer_is_kept_here_shared_and_stored_in_both_tiers() -> None:
    hand, reason = closed(GOOD)
    assert reason == ""
    assert hand.names == ["KeepLocal", "Settle", "Put"]
    kept, settled, put = hand.log
    assert put.data == kept.data
    assert codec.decode(put.data) == settled.entry
    assert (kept.key, kept.ttl_s) == (key_of(ask()), 3600.0)
    assert (put.key, put.ttl_ms) == (key_of(ask()), 3_600_000)
    entry = settled.entry
    assert entry.answers == (GOOD,)
    assert (entry.created_ms, entry.expires_ms) == (NOW, NOW + 3_600_000)
    assert (entry.key, entry.model, entry.digest) == (hash_of(ask()), "m:latest", DIGEST)
    assert (entry.scope, entry.question) == (scope_of(ask()), QUESTION)
    assert put.semantic == p.SemanticRecord(
        entry_id=hash_of(ask()),
        scope=scope_of(ask()),
        question=QUESTION,
        vector=VECTOR,
        tenant=tenant_tag(Control()),
        model="m:latest",
        tags=(),
        documents=(),
        created_ms=NOW,
    )


def test_what_was_stored_is_a_hit_for_the_same_request() -> None:
    put = closed(GOOD)[0].effects(p.Put)[0]
    assert opened(Hand(GetExact=put.data)).origin.outcome == "hit_exact"
    near = opened(Hand(Nearest=[(put.data, 0.95)]), ask("How should I water a cactus?"))
    assert near.origin.outcome == "hit_semantic"


def test_tags_and_documents_are_on_the_entry_and_in_the_index() -> None:
    control = Control(tags=("t1", "t2"), documents=("d1",), tenant="acme", user="u")
    hand, _ = closed(GOOD, control=control)
    entry, record = hand.effects(p.Settle)[0].entry, hand.effects(p.Put)[0].semantic
    assert (
        (entry.tags, entry.documents) == (record.tags, record.documents) == (("t1", "t2"), ("d1",))
    )
    assert record.tenant == tenant_tag(control) != tenant_tag(Control())


@pytest.mark.parametrize(
    ("settings", "ttl", "random", "expected_ms"),
    [
        ({"ttl": 60.0}, None, 0.5, 60_000),
        ({"ttl": 60.0}, 5.0, 0.5, 5_000),
        ({"ttl": 60.0, "ttl_jitter": 0.5}, None, 0.0, 60_000),
        ({"ttl": 60.0, "ttl_jitter": 0.5}, None, 0.5, 45_000),
        ({"ttl": 60.0, "ttl_jitter": 0.5}, 8.0, 1.0, 4_000),
        ({"ttl": 0.001, "ttl_jitter": 0.5}, None, 1.0, 1),
    ],
)
def test_the_life_of_an_entry(
    settings: dict[str, Any], ttl: float | None, random: float, expected_ms: int
) -> None:
    hand, _ = closed(GOOD, control=Control(ttl=ttl), random=random, **settings)
    kept, settled, put = hand.log
    assert put.ttl_ms == expected_ms
    assert kept.ttl_s == expected_ms / 1000
    assert settled.entry.expires_ms == NOW + expected_ms


def test_without_a_question_only_the_exact_tier_is_filled() -> None:
    hand, _ = closed(GOOD, semantic=False)
    assert hand.effects(p.Put)[0].semantic is None
    entry = hand.effects(p.Settle)[0].entry
    assert (entry.scope, entry.question) == ("", None)


@pytest.mark.parametrize("answers", [(CALL,), (GOOD, CALL)])
def test_an_answer_with_tool_calls_is_not_for_reworded_questions(
    answers: tuple[Answer, ...],
) -> None:
    hand, reason = closed(*answers)
    assert reason == ""
    assert hand.effects(p.Put)[0].semantic is None
    entry = hand.effects(p.Settle)[0].entry
    assert (entry.scope, entry.question) == ("", None)


JSON = {"format": "json"}


@pytest.mark.parametrize(
    ("answers", "params", "reason", "shared"),
    [
        ((Answer(text="x"),), {}, "done_reason_absent", False),
        ((Answer(text="x", done_reason="length"),), {}, "done_reason_length", True),
        ((Answer(text="x", done_reason="load"),), {}, "done_reason_load", False),
        ((GOOD, Answer(text="x", done_reason="length")), {}, "done_reason_length", True),
        ((GOOD, Answer(text="x", done_reason="unload")), {}, "done_reason_unload", False),
        ((), {}, "empty_answer", False),
        ((Answer(done_reason="stop"),), {}, "empty_answer", False),
        ((Answer(text=" \n", done_reason="stop"),), {}, "empty_answer", False),
        ((Answer(thinking="hm", done_reason="stop"),), {}, "empty_answer", False),
        ((GOOD,), JSON, "format_not_met", False),
        ((Answer(text='{"a": 1', done_reason="length"),), JSON, "done_reason_length", False),
        ((Answer(text="\ud800", done_reason="stop"),), {}, "unencodable_answer", True),
        ((Answer(text="x", info={"o": object()}, done_reason="stop"),), {},
         "unencodable_answer", True),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_complete_is_kept_nowhere(
    answers: tuple[Answer, ...], params: dict[str, Any], reason: str, shared: bool
) -> None:
    """`shared`: those who wait for the same answer would get the same from the model."""
    hand, said = closed(*answers, request=ask(params=params))
    assert said == reason
    assert hand.names == ["Settle"]
    assert (hand.log[0].entry is not None) is shared


@pytest.mark.parametrize(
    ("answer", "params"),
    [
        (Answer(text='{"a": [1, 2]}', done_reason="stop"), JSON),
        (Answer(text=' \n"text"\n', done_reason="stop"), {"format": {"type": "string"}}),
        (CALL, JSON),
        (Answer(blocks=[{"type": "audio"}], done_reason="stop"), {}),
    ],
)
def test_a_complete_answer_is_stored(answer: Answer, params: dict[str, Any]) -> None:
    hand, reason = closed(answer, request=ask(params=params))
    assert reason == ""
    assert "Put" in hand.names


def test_a_framework_that_hides_the_reason_is_trusted() -> None:
    named = ask(identity="llm")
    assert closed(Answer(text="x"), request=named)[1] == ""
    assert closed(Answer(text="x", done_reason="length"), request=named)[1] == "done_reason_length"


def test_after_trouble_with_redis_nothing_is_sent_there() -> None:
    ticket = opened(Hand(GetExact=StoreTrouble("redis_down"))).ticket
    assert ticket is not None
    hand = Hand()
    assert hand.drive(p.close_plan(ticket, (GOOD,), rules())) == ""
    assert hand.names == ["KeepLocal", "Settle"]


def test_trouble_while_storing_is_only_a_reason() -> None:
    hand, reason = closed(GOOD, replies={"Put": StoreTrouble("redis_full")})
    assert reason == "redis_full"
    assert hand.names == ["KeepLocal", "Settle", "Put"]


def test_followers_do_not_wait_for_redis() -> None:
    hand, _ = closed(GOOD)
    assert hand.names.index("Settle") < hand.names.index("Put")


def test_one_that_flew_alone_settles_nothing() -> None:
    ticket = opened(Hand(Join=p.Seat())).ticket
    assert ticket is not None
    hand = Hand()
    hand.drive(p.close_plan(ticket, (GOOD,), rules()))
    assert hand.names == ["KeepLocal", "Put"]


def test_the_question_stays_out_of_redis_if_prompts_are_not_stored() -> None:
    hand, _ = closed(GOOD, store_prompts=False)
    assert hand.effects(p.Settle)[0].entry.question is None
    assert QUESTION.encode() not in hand.effects(p.Put)[0].data
