"""Explaining a request: the same plan is rehearsed, so it tells what `open_plan` then does."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from aegis_llm import plan as p
from aegis_llm.errors import EmbedTrouble, NotCachedError, StoreTrouble
from aegis_llm.plan import effects, explaining
from aegis_llm.values import Control
from tests.unit.explaining import OTHER, REWORDED, STORED, explained
from tests.unit.planning import (
    DIGEST,
    NOW,
    QUESTION,
    Hand,
    ask,
    hash_of,
    key_of,
    near,
    opened,
    scope_of,
)


def test_every_effect_is_either_read_or_left_undone() -> None:
    """A new effect has to be classed: what changes nothing is read, the rest gets a reply."""
    ends = {p.SemanticRecord, p.Seat, p.Ticket, p.Opened, p.Rules, p.Match, p.State}
    kinds = {
        kind
        for _, kind in inspect.getmembers(effects, inspect.isclass)
        if kind.__module__ == effects.__name__
    }
    classes = (explaining.READ, explaining.UNDONE, explaining.REFUSED)
    assert sorted(kind.__name__ for known in classes for kind in known) == sorted(
        kind.__name__ for kind in kinds - ends
    )


def test_a_reworded_question_that_would_hit() -> None:
    hand = Hand(Nearest=[(near(REWORDED, tags=("t",), documents=("d",)), 0.97)])
    told = explained(hand)
    assert (told.outcome, told.reason, told.by_meaning) == ("hit_semantic", "", "hit_semantic")
    assert (told.local, told.exact) == (False, False)
    assert (told.entry_id, told.age_s) == ("e" * 64, 5.0)
    assert (told.namespace, told.model, told.digest) == ("default", "m:latest", DIGEST)
    assert (told.key, told.scope) == (key_of(ask()), scope_of(ask()))
    assert (told.question, told.route) == (QUESTION, "reuse")
    [one] = told.candidates
    assert (one.question, one.similarity, one.accept, one.reason) == (REWORDED, 0.97, True, "")
    assert (one.served, one.age_s, one.entry_id) == (True, 5.0, "e" * 64)
    assert (one.tags, one.documents, one.elsewhere) == (("t",), ("d",), "")
    assert told.in_the_way == ()
    assert f'The answer to "{REWORDED}" would be served' in str(told)


def test_each_candidate_has_its_own_reason() -> None:
    answers = [
        (near(OTHER, key="a" * 64), 0.99),
        (near(REWORDED, key="b" * 64), 0.95),
        (near(QUESTION + " Now", key="c" * 64), 0.5),
        (near(REWORDED, key="d" * 64, question=None), 0.95),
        (near(REWORDED, key="f" * 64, scope="other"), 0.95),
        (b"junk", 0.99),
    ]
    told = explained(Hand(Nearest=answers), neighbours=9)
    assert [(one.entry_id[0], one.served) for one in told.candidates] == [
        ("a", False), ("b", True), ("c", False), ("d", False),
    ]  # fmt: skip
    reasons = [one.reason for one in told.candidates]
    assert reasons == ["veto_numbers", "", "below_threshold", "no_question_text"]
    assert told.candidates[0].vetoes == ("veto_numbers",)
    assert "veto_numbers (other numbers)" in str(told)


def test_an_exact_repeat_tells_what_would_be_without_it() -> None:
    """The question most often asked afterwards: why did this one miss at first?"""
    own = near(QUESTION, key=hash_of(ask()))
    hand = Hand(GetExact=STORED, Nearest=[(own, 1.0), (near(OTHER), 0.99)])
    told = explained(hand)
    assert (told.outcome, told.exact, told.local) == ("hit_exact", True, False)
    assert (told.by_meaning, told.by_meaning_reason) == ("miss", "veto_numbers")
    assert [one.question for one in told.candidates] == [OTHER]
    assert hand.effects(p.Survey)[0].count == 5


def test_a_local_copy_does_not_hide_the_other_tiers() -> None:
    hand = Hand(GetLocal=STORED)
    told = explained(hand)
    assert (told.outcome, told.local, told.exact) == ("hit_local", True, False)
    assert (told.by_meaning, told.by_meaning_reason) == ("miss", "no_candidate")
    assert explained(Hand(GetLocal=STORED, GetExact=STORED)).exact is True
    down = explained(Hand(GetLocal=STORED, GetExact=StoreTrouble("redis_down")))
    assert (down.outcome, down.in_the_way) == ("hit_local", ("redis_down",))


def test_whatever_is_asked_is_asked_once() -> None:
    hand = Hand(GetLocal=STORED, GetExact=STORED, Nearest=[(near(REWORDED), 0.97)])
    explained(hand)
    assert sorted(hand.names) == ["Digest", "Embed", "GetExact", "GetLocal", "Recall", "Survey"]


@pytest.mark.parametrize(
    ("replies", "outcome", "reason"),
    [
        ({"GetExact": StoreTrouble("redis_down")}, "miss", "redis_down"),
        ({"Nearest": StoreTrouble("redis_timeout")}, "miss", "redis_timeout"),
        ({"Nearest": StoreTrouble("no_query_engine")}, "miss", "no_query_engine"),
        ({"Embed": EmbedTrouble("embedding_failed")}, "miss", "embedding_failed"),
        ({"Digest": None}, "bypass", "model_unknown"),
    ],
)
def test_trouble_is_told(replies: dict[str, Any], outcome: str, reason: str) -> None:
    told = explained(Hand(**replies))
    assert (told.outcome, told.reason) == (outcome, reason)
    assert told.question == QUESTION
    assert reason in str(told) or outcome == "bypass"
    if outcome == "miss":
        assert told.in_the_way == (reason,)


def test_a_missing_index_is_not_made_and_told() -> None:
    told = explained(Hand(Nearest=StoreTrouble("index_missing")))
    assert (told.reason, told.in_the_way) == ("no_candidate", ("index_missing",))


def test_without_embeddings() -> None:
    told = explained(Hand(), semantic=False)
    assert (told.reason, told.by_meaning) == ("no_entry", None)
    assert told.in_the_way == ("no_embeddings",)


def test_the_digest_is_asked_for_and_not_kept() -> None:
    hand = Hand()
    explained(hand)
    assert [effect.keep for effect in hand.effects(p.Digest)] == [False]


def test_only_if_cached_is_told_and_not_raised() -> None:
    asked = Control(only_if_cached=True)
    with pytest.raises(NotCachedError):
        opened(Hand(), control=asked)
    told = explained(Hand(), control=asked)
    assert (told.outcome, told.not_cached_error) == ("miss", True)
    assert "NotCachedError" in told.sentence
    assert not explained(Hand(GetExact=STORED), control=asked).not_cached_error


def test_a_refresh_still_tells_what_is_there() -> None:
    told = explained(
        Hand(GetExact=STORED, Nearest=[(near(REWORDED), 0.97)]), control=Control(refresh=True)
    )
    assert (told.outcome, told.reason, told.exact) == ("miss", "refresh", True)
    assert told.by_meaning == "hit_semantic"


def test_a_bypass_looks_at_nothing() -> None:
    hand = Hand()
    told = explained(hand, control=Control(bypass=True))
    assert (told.outcome, told.reason, hand.log) == ("bypass", "asked", [])


def test_no_question_says_why() -> None:
    told = explained(Hand(), ask("Here is a text.\n\nIt has two parts.\n\nAnd a third."))
    assert (told.question, told.no_question, told.route) == (None, "question_not_separable", "")


def test_entries_of_other_scopes() -> None:
    def survey(effect: p.Survey) -> list[tuple[bytes, float]]:
        own = [
            (near(REWORDED, key="a" * 64, model="m:latest", digest=DIGEST, scope="x"), 0.97),
            (near(REWORDED, key="b" * 64, model="n:latest", scope="y"), 0.96),
            (near(REWORDED, key="c" * 64, model="m:latest", digest="old", scope="z"), 0.95),
            (near(REWORDED, key="d" * 64, expires_ms=NOW), 0.95),
        ]
        if effect.scope is not None:
            return []
        foreign = [(near(REWORDED, key="f" * 64, model="m:latest", scope="w"), 0.98)]
        return own if effect.tenant is not None else foreign + own

    hand = Hand(Survey=survey)
    told = explained(hand, elsewhere=3)
    assert [one.elsewhere for one in told.elsewhere] == [
        "with another context, system text, history or options",
        "of another model, n:latest",
        "of another version of the model",
    ]
    assert all(effect.scope or effect.tenant for effect in hand.effects(p.Survey))
    everyone = explained(Hand(Survey=survey), elsewhere=3, all_tenants=True)
    assert everyone.elsewhere[0].elsewhere == "of another tenant or user"
    assert len(everyone.elsewhere) == 4
    assert "of another tenant or user" in str(everyone)
    assert explained(Hand(Survey=survey)).elsewhere == ()


def test_other_scopes_are_not_looked_at_when_the_scope_has_an_entry() -> None:
    hand = Hand(Nearest=[(near(OTHER), 0.99)])
    assert explained(hand, elsewhere=3).elsewhere == ()
    assert len(hand.effects(p.Survey)) == 1
