"""Choosing a candidate: nearest first, never below the threshold, never against a veto."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import inf, nan

import pytest

from aegis_llm.config import CacheConfig
from aegis_llm.matching import Matcher
from aegis_llm.values import Answer, Candidate, Entry

QUESTION = "How do I reset my password?"
REWORDED = "How can I reset my password?"
LOOK_ALIKE = "How do I reset my username?"


def candidate(question: str | None, similarity: float, key: str = "k") -> Candidate:
    entry = Entry(key=key, answers=(Answer(text="a"),), created_ms=0, expires_ms=1)
    return Candidate(entry=entry, similarity=similarity, question=question)


def choose(
    asked: str, candidates: Sequence[Candidate], *, similarity: float
) -> tuple[Candidate | None, str]:
    verdict = Matcher(CacheConfig(similarity=similarity)).choose(asked, candidates)
    return verdict.candidate, verdict.reason


def test_the_nearest_acceptable_candidate_is_chosen_whatever_the_order() -> None:
    best = candidate(REWORDED, 0.96, "best")
    others = [candidate(LOOK_ALIKE, 0.99), candidate(REWORDED, 0.95), candidate(None, 0.97)]
    for order in itertools.permutations([best, *others]):
        assert choose(QUESTION, order, similarity=0.92) == (best, "")


def test_equal_similarities_are_decided_by_key() -> None:
    pair = [candidate(REWORDED, 0.95, "a"), candidate(REWORDED, 0.95, "b")]
    assert choose(QUESTION, pair, similarity=0.9) == choose(QUESTION, pair[::-1], similarity=0.9)


def test_the_reason_is_that_of_the_nearest() -> None:
    refused = [candidate(REWORDED, 0.5), candidate(LOOK_ALIKE, 0.99), candidate(None, 0.97)]
    assert choose(QUESTION, refused, similarity=0.92) == (None, "veto_words")


@pytest.mark.parametrize(
    ("question", "similarity", "reason"),
    [
        (REWORDED, 0.92, ""),
        (REWORDED, 0.9199, "below_threshold"),
        (QUESTION, 0.5, "below_threshold"),
        (REWORDED, nan, "below_threshold"),
        (REWORDED, -inf, "below_threshold"),
        (None, 0.99, "no_question_text"),
        (None, 0.5, "no_question_text"),
        ("how do I  reset my password", 0.93, ""),
        ("How do I reset my password 2?", 0.99, "veto_numbers"),
        ("How do I not reset my password?", 0.99, "veto_negation"),
    ],
)
def test_one_candidate(question: str | None, similarity: float, reason: str) -> None:
    only = candidate(question, similarity)
    expected = (None if reason else only, reason)
    assert choose(QUESTION, [only], similarity=0.92) == expected


def test_nothing_near_is_no_candidate() -> None:
    assert choose(QUESTION, [], similarity=0.92) == (None, "no_candidate")


def test_a_similarity_that_is_no_number_does_not_hide_a_good_candidate() -> None:
    good = candidate(REWORDED, 0.95)
    for order in ([candidate(QUESTION, nan), good], [good, candidate(QUESTION, nan)]):
        assert choose(QUESTION, order, similarity=0.92)[0] is good
