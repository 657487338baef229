"""Explaining what was learnt, judged, routed or cut; and that it tells what `open_plan` does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aegis_llm import plan as p
from aegis_llm.context import chunks_of
from aegis_llm.errors import EmbedTrouble, NotCachedError, StoreTrouble
from aegis_llm.learning.ledger import Label
from aegis_llm.learning.pairs import PairVerdict
from aegis_llm.matching import Matcher
from aegis_llm.values import Control, Document
from tests.unit.explaining import GATES, OTHER, REWORDED, STORED, doubtful, explained, note
from tests.unit.planning import (
    DIGEST,
    NOW,
    QUESTION,
    Hand,
    ask,
    near,
    rules,
)

ASKED = ask(server="http://ollama")
GREY = [(near(REWORDED), 0.9)]


def test_a_judge_is_never_asked_and_told_of() -> None:
    hand = Hand(Nearest=GREY)
    told = explained(hand, ASKED, made=doubtful(judge="serve"))
    assert (told.outcome, told.reason) == ("miss", "judge_would_decide")
    assert (told.by_meaning_reason, told.in_the_way) == ("judge_would_decide", ())
    assert "Judge" not in hand.names
    [one] = told.candidates
    assert (one.accept, one.reason, one.grey, one.served) == (False, "below_score", True, False)
    assert (one.score, one.threshold, one.known) == (0.9, 0.95, "")
    assert "A judge would decide" in told.sentence
    strict = Control(only_if_cached=True)
    told = explained(Hand(Nearest=GREY), ASKED, strict, made=doubtful(judge="serve"))
    assert (told.reason, told.not_cached_error) == ("judge_would_decide", False)
    assert "below_score, near enough for a judge" in str(told)
    for judge, request in (("background", ASKED), ("serve", ask()), ("off", ASKED)):
        other = explained(Hand(Nearest=GREY), request, made=doubtful(judge=judge))
        assert (other.outcome, other.reason) == ("miss", "below_score")


def test_what_was_learnt_of_a_pair_is_shown() -> None:
    approved = doubtful(pairs={REWORDED: "same", OTHER: "same"})
    stored = [(near(OTHER, key="a" * 64), 0.99), *GREY]
    told = explained(Hand(Nearest=stored), ASKED, made=approved)
    assert told.outcome == "hit_semantic"
    vetoed, served = told.candidates
    assert (vetoed.accept, vetoed.vetoes) == (False, ("veto_numbers", "veto_words"))
    assert (vetoed.known, vetoed.reason) == ("same", "veto_numbers")
    assert (served.accept, served.reason, served.known) == (True, "", "same")
    assert served.served
    assert served.verdict == "served, approved before"
    refused = doubtful(accept=REWORDED, pairs={REWORDED: "different"})
    told = explained(Hand(Nearest=GREY), ASKED, made=refused)
    assert (told.outcome, told.reason) == ("miss", "pair_refused")
    [one] = told.candidates
    assert (one.accept, one.reason, one.known) == (False, "pair_refused", "different")
    assert one.verdict.startswith("pair_refused (")


def test_an_entry_that_was_wrong_too_often() -> None:
    made = doubtful(accept=REWORDED)
    for number in range(3):
        made.learned.ledger.add(Label("e" * 64, False, "reject", NOW + number))
    told = explained(Hand(Nearest=GREY), ASKED, made=made)
    assert (told.reason, told.candidates[0].reason) == ("entry_distrusted", "entry_distrusted")


def test_shadow_mode_tells_what_would_be_served() -> None:
    told = explained(Hand(Nearest=[(near(REWORDED), 0.97)]), shadow=True)
    assert (told.outcome, told.reason, told.entry_id) == ("miss", "shadow_hit", "e" * 64)
    assert (told.candidates[0].accept, told.candidates[0].served) == (True, False)


def test_what_others_learnt_is_read_first() -> None:
    hand = Hand(Nearest=[(near(REWORDED), 0.97)], Recall=StoreTrouble("redis_timeout"))
    told = explained(hand)
    assert (told.outcome, told.reason) == ("miss", "redis_timeout")
    assert told.in_the_way == ("redis_timeout",)


def test_an_embedder_without_a_score_is_told() -> None:
    made = rules()
    unknown = msgspec.structs.replace(made, matcher=Matcher(made.cache, "bge-large"))
    assert explained(Hand(), made=unknown).in_the_way == ("no_score",)
    assert explained(Hand(), made=made).in_the_way == ()


def test_entries_made_from_other_chunks() -> None:
    first, other = Document("a", "h1", "Cacti want little."), Document("b", "h2", "No, a lot.")
    request = ask(f"Context:\n{first.text}\n\nQuestion: {QUESTION}", documents=(first,))
    scope = explained(Hand(), request, context="overlap>=0.5").scope
    stored = [
        (near(REWORDED, key=letter * 64, scope=scope, chunks=chunks_of(documents)), 0.97)
        for letter, documents in (("a", [other]), ("b", [other, first]))
    ]
    told = explained(Hand(Nearest=stored), request, context="overlap>=0.5")
    assert (told.outcome, told.entry_id) == ("hit_semantic", "b" * 64)
    assert [one.reason for one in told.candidates] == ["context_differs", ""]
    told = explained(Hand(Nearest=stored[:1]), request, context="overlap>=0.5")
    assert (told.reason, told.candidates[0].accept) == ("context_differs", False)


@pytest.mark.parametrize(
    ("question", "outcome", "reason"),
    [
        ("Is it raining today?", "miss", "route_now"),
        ("Roll a die.", "bypass", "route_random"),
    ],
)
def test_a_question_that_is_routed_elsewhere(question: str, outcome: str, reason: str) -> None:
    told = explained(Hand(), ask(question))
    assert (told.outcome, told.reason) == (outcome, reason)
    assert (told.question, told.route_reason) == (question, reason)
    assert told.route == ("exact_only" if outcome == "miss" else "skip")
    assert explained(Hand(), ask(question), router=False).route == "reuse"


REPLIES: dict[str, list[Any]] = {
    "Digest": [DIGEST, None],
    "GetLocal": [None, STORED, b"junk"],
    "GetExact": [None, STORED, b"junk", StoreTrouble("redis_down")],
    "Recall": [None, StoreTrouble("redis_timeout")],
    "Judge": [True, False],
    "Embed": [p.effects, EmbedTrouble("embedding_timeout")],
    "Nearest": [
        [],
        [(near(REWORDED), 0.97)],
        [(near(OTHER), 0.99), (near(REWORDED, key="b" * 64), 0.95)],
        [(near(REWORDED), 0.5)],
        StoreTrouble("redis_timeout"),
    ],
}
REPLIES["Embed"][0] = b"\0\0\200?" * 2
REQUESTS = [
    ask(),
    ask("Today, how do I water a cactus?"),
    ask(""),
    ask("\ud800"),
    ask(params={"tools": [{"type": "function"}]}),
    ask(QUESTION * 100),
    ask("Roll a die."),
    ASKED,
]
SETTINGS: list[dict[str, Any]] = [
    {}, {"judge": "serve"}, {"judge": "off"}, {"shadow": True}, {"history": "same"},
    {"router": False},
]  # fmt: skip
CONTROLS = [
    Control(),
    Control(refresh=True),
    Control(bypass=True),
    Control(tenant="acme"),
    Control(only_if_cached=True),
]


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_it_never_disagrees_with_what_is_then_done(data: st.DataObject) -> None:
    replies = {name: data.draw(st.sampled_from(given)) for name, given in REPLIES.items()}
    request = data.draw(st.sampled_from(REQUESTS))
    control = data.draw(st.sampled_from(CONTROLS))
    settings = data.draw(st.sampled_from(SETTINGS))
    made = msgspec.structs.replace(
        data.draw(st.sampled_from([rules(**GATES, **settings), doubtful(**settings)])),
        semantic=data.draw(st.booleans()),
    )
    for cached in data.draw(st.sets(st.sampled_from([REWORDED, OTHER]))):
        verdict: PairVerdict = data.draw(st.sampled_from(["same", "different"]))
        note(made.learned, cached, verdict)
    told = explained(Hand(**replies), request, control, made=made)
    hand = Hand(**replies)
    try:
        origin = hand.drive(p.open_plan(request, control, made)).origin
    except NotCachedError as exc:
        raised = str(exc)
        assert told.not_cached_error or hand.effects(p.Judge)
        assert told.reason in raised or "judge_refused" in raised
        return
    assert (told.reason == "judge_would_decide") is bool(hand.effects(p.Judge))
    if hand.effects(p.Judge):
        assert (told.outcome, told.not_cached_error) == ("miss", False)
        return
    assert not told.not_cached_error
    assert (told.outcome, told.reason) == (origin.outcome, origin.reason)
    assert (told.entry_id, told.age_s) == (origin.entry_id, origin.age_s)
    assert (
        [one.entry_id for one in told.candidates if one.served]
        == ([origin.entry_id] if origin.outcome == "hit_semantic" else [])
        or origin.outcome in ("hit_local", "hit_exact")
        or origin.reason == "refresh"
    )
    assert str(told)
    assert told.as_dict()["outcome"] == origin.outcome
