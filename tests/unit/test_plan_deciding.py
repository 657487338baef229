"""Candidates: what was refused stays refused, a veto stands, the judge decides what is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from aegis_llm import codec
from aegis_llm import plan as p
from aegis_llm.config import CacheConfig
from aegis_llm.errors import JudgeTrouble, StoreTrouble
from aegis_llm.learning.learned import Learned
from aegis_llm.learning.ledger import Label
from aegis_llm.learning.pairs import Finding, PairVerdict
from aegis_llm.matching import Verdict
from aegis_llm.values import Candidate, Control, Request
from tests.unit.planning import QUESTION, Hand, ask, key_of, near, rules, scope_of

REWORDED = "How should a cactus be watered?"
ENTRY = "e" * 64
ASK = ask(server="http://ollama")


class Greyish:
    """A matcher to which everything is grey, but what it is told to accept or to veto."""

    def __init__(self, accept: str = "", veto: str = "") -> None:
        self.accept, self.veto = accept, veto

    def choose(self, asked: str, candidates: Sequence[Candidate]) -> Verdict:
        for candidate in candidates:
            if candidate.question == self.accept:
                return Verdict(candidate, "")
        grey = [one for one in candidates if one.question != self.veto]
        if not candidates:
            return Verdict(None, "no_candidate")
        reason = "below_score" if candidates[0] in grey else "veto_number"
        return Verdict(None, reason, grey=grey[0] if grey else None)


def opened(
    hand: Hand,
    matcher: Any,
    learned: Learned | None = None,
    request: Request = ASK,
    **cache: Any,
) -> p.Opened:
    made = msgspec.structs.replace(
        rules(**cache), matcher=matcher, learned=learned or Learned(), random=lambda: 0.0
    )
    result: p.Opened = hand.drive(p.open_plan(request, Control(), made))
    return result


def knows(verdict: PairVerdict, cached: str = REWORDED) -> Learned:
    learned = Learned()
    finding: Finding = "approved" if verdict == "same" else "refused"
    name = learned.name_of(cached, QUESTION, scope_of(ASK), finding)
    learned.pairs.add(name, finding)
    return learned


def found(*questions: str) -> Hand:
    """A hand that finds entries with these questions, the nearest first."""
    keys = {question: f"{number:x}" * 64 for number, question in enumerate(questions, 14)}
    return Hand(Nearest=[(near(question, key=keys[question]), 0.9) for question in questions])


def test_what_is_grey_is_left_to_the_judge_and_is_a_miss() -> None:
    hand = found(REWORDED)
    result = opened(hand, Greyish())
    assert (result.origin.outcome, result.origin.reason) == ("miss", "below_score")
    match = result.match
    assert match is not None
    assert (match.kind, match.asked, match.cached) == ("grey", QUESTION, REWORDED)
    assert (match.key, match.entry.key) == (key_of(ASK), ENTRY)
    assert not hand.effects(p.Judge)


def test_without_a_judge_or_a_server_nothing_is_left_to_it() -> None:
    assert opened(found(REWORDED), Greyish(), judge="off").match is None
    for judge in ("background", "serve"):
        hand = found(REWORDED)
        assert opened(hand, Greyish(), request=ask(), judge=judge).match is None
        assert not hand.effects(p.Judge)


def test_an_approved_pair_is_served_and_kept_as_an_alias() -> None:
    hand = found(REWORDED)
    result = opened(hand, Greyish(), knows("same"))
    assert (result.origin.outcome, result.origin.reason) == ("hit_semantic", "")
    assert (result.origin.entry_id, result.origin.matched_question) == (ENTRY, REWORDED)
    (kept,) = hand.effects(p.KeepLocal)
    alias = codec.decode(kept.data)
    assert kept.key == key_of(ASK)
    assert alias is not None
    assert alias.alias_of == ENTRY


@pytest.mark.parametrize(
    ("request_", "control"),
    [
        (ask(server="http://ollama"), Control(tenant="acme")),
        (ask(server="http://ollama"), Control(user="ada")),
        (ask(server="http://ollama", model="other:latest"), Control()),
        (ask(server="http://ollama", params={"options": {"temperature": 1}}), Control()),
        (
            ask(
                server="http://ollama",
                messages=(
                    {"role": "system", "content": "Another context."},
                    {"role": "user", "content": QUESTION},
                ),
            ),
            Control(),
        ),
    ],
    ids=["tenant", "user", "model", "options", "context"],
)
def test_what_was_approved_in_one_scope_is_not_in_another_and_refusals_hold_in_all(
    request_: Request, control: Control
) -> None:
    scope = scope_of(request_, control)
    for verdict, reason in (("same", "below_score"), ("different", "pair_refused")):
        hand = Hand(Nearest=[(near(REWORDED, key=ENTRY, scope=scope), 0.9)])
        learned = knows(verdict)  # type: ignore[arg-type]
        made = msgspec.structs.replace(rules(), matcher=Greyish(), learned=learned)
        origin = hand.drive(p.open_plan(request_, control, made)).origin
        assert (origin.outcome, origin.reason) == ("miss", reason)


def test_what_was_approved_by_another_judge_or_model_digest_is_not_served() -> None:
    learned = Learned(CacheConfig(judge_model="small"))
    learned.pairs.add(learned.name_of(QUESTION, REWORDED, scope_of(ASK), "approved"), "approved")
    assert learned.verdict(QUESTION, REWORDED, scope_of(ASK)) == "same"
    other = Learned(CacheConfig(judge_model="large"))
    other.pairs = learned.pairs
    assert other.verdict(QUESTION, REWORDED, scope_of(ASK)) is None
    hand = found(REWORDED)
    hand.replies["Digest"] = "sha256:new"
    assert opened(hand, Greyish(), knows("same")).entry is None


def test_an_alias_tells_the_entry_it_came_from() -> None:
    hand = found(REWORDED)
    opened(hand, Greyish(), knows("same"))
    again = Hand(GetLocal=hand.effects(p.KeepLocal)[0].data)
    origin = opened(again, Greyish()).origin
    assert (origin.outcome, origin.entry_id) == ("hit_local", ENTRY)


def test_an_approved_one_behind_another_is_served() -> None:
    hand = found("What do cacti drink?", REWORDED)
    result = opened(hand, Greyish(), knows("same"))
    assert result.origin.matched_question == REWORDED


@pytest.mark.parametrize("judge", ["background", "serve", "off"])
def test_no_approval_overrules_a_veto(judge: str) -> None:
    hand = found(REWORDED)
    result = opened(hand, Greyish(veto=REWORDED), knows("same"), judge=judge)
    assert (result.origin.outcome, result.origin.reason) == ("miss", "veto_number")
    assert not hand.effects(p.Judge)


def test_a_refused_pair_is_not_served_whatever_the_matcher_says() -> None:
    result = opened(found(REWORDED), Greyish(accept=REWORDED), knows("different"))
    assert (result.origin.outcome, result.origin.reason) == ("miss", "pair_refused")


def test_behind_a_refused_one_another_may_answer() -> None:
    hand = found(REWORDED, "What does a cactus need?")
    result = opened(hand, Greyish(accept="What does a cactus need?"), knows("different"))
    assert result.origin.matched_question == "What does a cactus need?"


def test_an_entry_that_was_wrong_too_often_answers_no_reworded_question() -> None:
    learned = Learned()
    for _ in range(3):
        learned.ledger.add(Label(ENTRY, False, "check"))
    result = opened(found(REWORDED), Greyish(accept=REWORDED), learned)
    assert result.origin.reason == "entry_distrusted"


@pytest.mark.parametrize(
    ("reply", "outcome", "reason"),
    [
        (True, "hit_semantic", ""),
        (False, "miss", "judge_refused"),
        (JudgeTrouble("judge_failed"), "miss", "judge_failed"),
    ],
)
def test_the_judge_decides_before_serving(reply: Any, outcome: str, reason: str) -> None:
    hand = found(REWORDED)
    hand.replies["Judge"] = reply
    result = opened(hand, Greyish(), judge="serve")
    assert (result.origin.outcome, result.origin.reason) == (outcome, reason)
    (asked,) = hand.effects(p.Judge)
    assert (asked.asked, asked.cached, asked.scope) == (QUESTION, REWORDED, scope_of(ASK))
    assert bool(hand.effects(p.KeepLocal)) is (outcome == "hit_semantic")


@pytest.mark.parametrize("judge", ["background", "serve"])
def test_shadow_serves_nothing_and_tells_what_it_would_have(judge: str) -> None:
    hand = found(REWORDED)
    result = opened(hand, Greyish(accept=REWORDED), shadow=True, judge=judge)
    origin = result.origin
    assert (origin.outcome, origin.reason, result.entry) == ("miss", "shadow_hit", None)
    assert (origin.entry_id, origin.matched_question, origin.similarity) == (ENTRY, REWORDED, 0.9)
    assert result.ticket is not None
    assert result.match is not None
    assert result.match.kind == "shadow"
    assert not hand.effects(p.KeepLocal)


def test_in_shadow_mode_nobody_waits_for_the_judge() -> None:
    hand = found(REWORDED)
    result = opened(hand, Greyish(), shadow=True, judge="serve")
    assert not hand.effects(p.Judge)
    assert result.match is not None
    assert result.match.kind == "grey"


def test_while_the_alarm_is_on_nothing_is_served_and_labels_go_on() -> None:
    learned = Learned()
    for number in range(30):
        learned.ledger.add(Label(str(number), False, "check"))
    result = opened(found(REWORDED), Greyish(accept=REWORDED), learned)
    assert (result.origin.outcome, result.origin.reason) == ("miss", "drift")
    assert result.match is not None
    assert result.match.kind == "shadow"
    for number in range(300):
        learned.ledger.add(Label(str(number), True, "shadow"))
    assert opened(found(REWORDED), Greyish(accept=REWORDED), learned).entry is not None


def test_what_others_refused_is_awaited_where_it_matters() -> None:
    hand = found(REWORDED)
    hand.replies["Recall"] = JudgeTrouble("pairs_starting")
    result = opened(hand, Greyish(accept=REWORDED))
    assert (result.origin.outcome, result.origin.reason) == ("miss", "pairs_starting")
    assert result.ticket is not None
    assert not result.ticket.trouble
    hand.replies["Recall"] = StoreTrouble("redis_timeout")
    assert opened(hand, Greyish()).ticket.trouble  # type: ignore[union-attr]
    without = Hand()
    opened(without, Greyish())
    assert not without.effects(p.Recall)


def test_the_reason_is_that_of_the_nearest_be_it_refused_before_or_now() -> None:
    other = "Who waters a cactus?"
    nearest_refused = opened(found(REWORDED, other), Greyish(), knows("different"), judge="off")
    assert nearest_refused.origin.reason == "pair_refused"
    another_refused = opened(found(other, REWORDED), Greyish(), knows("different"), judge="off")
    assert another_refused.origin.reason == "below_score"
