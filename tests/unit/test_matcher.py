"""The matcher by itself: settings, thresholds, embedders, languages, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_llm import CacheConfig, ConfigError
from aegis_llm.matching import Matcher
from aegis_llm.matching.calibration import Calibration, dump
from aegis_llm.matching.matcher import CAUTIOUS, FLOOR, is_calibrated
from aegis_llm.matching.reading import reading
from aegis_llm.matching.verifier import SURE, shipped
from aegis_llm.testing import MiniLM
from aegis_llm.values import Answer, Candidate, Entry

ASKED = "What happens when Redis is down?"
REWORDED = "What happens if Redis is down?"
OTHER = "What happens when Redis is slow?"
PASSWORD, USERNAME = "How do I reset my password?", "How do I reset my username?"


def cosine(a: str, b: str) -> float:
    one, other = MiniLM().embed([a, b])
    return float(one @ other)


def candidate(question: str | None, similarity: float, key: str = "k") -> Candidate:
    entry = Entry(key=key, answers=(Answer(text="a"),), created_ms=0, expires_ms=1)
    return Candidate(entry=entry, similarity=similarity, question=question)


@pytest.mark.parametrize("config", [None, "strict", "balanced", CacheConfig()])
def test_a_rewording_is_accepted_and_a_look_alike_is_not(config: Any) -> None:
    matcher = Matcher(config)
    accepted = matcher.decide(ASKED, REWORDED, cosine(ASKED, REWORDED))
    assert (accepted.accept, accepted.reason, accepted.vetoes) == (True, "", ())
    assert accepted.score is not None
    assert accepted.score >= (accepted.threshold or 1)
    refused = matcher.decide(ASKED, "What happens when Redis is not down?", 0.99)
    assert (refused.accept, refused.reason) == (False, "veto_negation")
    assert not matcher.decide(ASKED, OTHER, cosine(ASKED, OTHER)).accept


def test_the_settings_differ_in_their_threshold_alone() -> None:
    record = shipped().record
    assert Matcher().threshold == Matcher("strict").threshold == record.strict
    assert Matcher("balanced").threshold == record.balanced
    assert Matcher(CacheConfig(max_wrong_hits=0.05)).threshold > record.balanced
    with pytest.raises(ConfigError, match=r"no threshold|at least"):
        Matcher(CacheConfig(max_wrong_hits=0.001))


def test_every_veto_is_named() -> None:
    a, b = "Can I take 5 mg in Paris?", "Can I not take 6 mg in London?"
    found = Matcher().decide(a, b, 0.95)
    assert set(found.vetoes) >= {"veto_numbers", "veto_negation", "veto_names"}
    assert found.reason == found.vetoes[0]


@pytest.mark.parametrize("similarity", [FLOOR - 0.01, float("nan"), float("-inf"), -1.0])
def test_what_is_far_is_not_compared(similarity: float) -> None:
    assert Matcher().decide(ASKED, REWORDED, similarity).reason == "below_threshold"


def test_a_correction_is_sure_and_a_false_one_refused() -> None:
    said = "What happens when Postgres, no wait, Redis is down?"
    assert Matcher().decide(ASKED, said, 0.9).score == SURE
    assert not Matcher().decide("What happens when Postgres is down?", said, 0.9).accept


def test_a_fixed_similarity_is_decided_by_rules_alone() -> None:
    matcher = Matcher(CacheConfig(similarity=0.92))
    assert not matcher.scores
    assert matcher.decide(ASKED, REWORDED, 0.92).accept
    assert matcher.decide(ASKED, REWORDED, 0.92).score is None
    assert matcher.decide(ASKED, REWORDED, 0.9199).reason == "below_threshold"
    assert matcher.decide(PASSWORD, USERNAME, 0.99).reason == "veto_words"


@pytest.mark.parametrize(
    ("embedder", "known"),
    [
        ("OllamaEmbeddings model=all-minilm", True),
        ("OllamaEmbeddings model=all-minilm:latest", True),
        ("OllamaEmbeddings model=all-minilm:22m", True),
        ("HuggingFaceEmbeddings model_name=sentence-transformers/all-MiniLM-L6-v2", True),
        ("OllamaEmbeddings model=all-minilm:33m", False),
        ("OllamaEmbeddings model=all-minilm:l12-v2", False),
        ("HuggingFaceEmbeddings model_name=sentence-transformers/all-MiniLM-L12-v2", False),
        ("OllamaEmbeddings model=nomic-embed-text", False),
    ],
)
def test_which_embedders_the_shipped_thresholds_hold_for(embedder: str, known: bool) -> None:
    assert is_calibrated(embedder) is known
    matcher = Matcher(CacheConfig(), embedder)
    assert matcher.scores is known
    if not known:
        assert matcher.decide(ASKED, REWORDED, CAUTIOUS).accept
        assert not matcher.decide(ASKED, REWORDED, CAUTIOUS - 0.01).accept
        assert matcher.decide(PASSWORD, USERNAME, 0.99).reason == "veto_words"


def test_a_calibration_of_the_user_sets_the_threshold(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    made = Calibration("nomic-embed-text:latest", "d", "2026", [0.5], [True], 0.02, 0.95, 0.77)
    path.write_bytes(dump(made))
    matcher = Matcher(
        CacheConfig(calibration=str(path)), "OllamaEmbeddings model=nomic-embed-text"
    )
    assert matcher.scores
    assert matcher.threshold == 0.77


@pytest.mark.parametrize("content", [b"", b"{}", b'{"v":2}', b"\xff\xfe", b"[1, 2]"])
def test_a_calibration_that_is_none_is_an_error_that_names_it(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.json is no calibration file"):
        Matcher(CacheConfig(calibration=str(path)))
    with pytest.raises(ConfigError, match=r"gone\.json.* cannot be read"):
        Matcher(CacheConfig(calibration=str(tmp_path / "gone.json")))


@pytest.mark.parametrize(
    ("a", "b", "near", "accept"),
    [
        ("Wie hoch ist der Eiffelturm?", "wie hoch ist der Eiffelturm", 0.9, True),
        ("Wie hoch ist der Eiffelturm?", "Wie alt ist der Eiffelturm?", 0.99, False),
        ("Wie viel kostet Stufe 2?", "Wie viel kostet Stufe 3?", 0.99, False),
        ("O\u00f9 est la gare de Lyon?", "O\u00f9 est la gare de Nice?", 0.99, False),
        ("\u00bfCu\u00e1ndo abre Marte?", "\u00bfCu\u00e1ndo abre Venus?", 0.99, False),
    ],
)  # fmt: skip
def test_other_languages_are_decided_by_rules_alone(
    a: str, b: str, near: float, accept: bool
) -> None:
    decision = Matcher("balanced").decide(a, b, near)
    assert decision.accept is accept
    assert decision.score in (None, 1.0)


def test_the_surest_candidate_is_chosen_not_the_nearest() -> None:
    sure = candidate(REWORDED, cosine(ASKED, REWORDED), "sure")
    near = candidate(OTHER, 0.999, "near")
    for found in ([sure, near], [near, sure]):
        verdict = Matcher().choose(ASKED, found)
        assert verdict.candidate is sure
        assert verdict.reason == ""


def test_the_others_are_not_read_when_the_nearest_is_certain() -> None:
    matcher = Matcher()
    near = candidate("How can I reset my password?", 0.97, "near")
    unsure = candidate(USERNAME, 0.98, "unsure")
    far = [candidate(f"How do I reset my password, number {n}?", 0.8, str(n)) for n in range(3)]
    assert matcher.decide(PASSWORD, str(near.question), near.similarity).certain
    assert not matcher.decide(PASSWORD, str(unsure.question), unsure.similarity).certain

    reading.cache_clear()
    assert matcher.choose(PASSWORD, [*far, near]).candidate is near
    assert reading.cache_info().misses == 2

    reading.cache_clear()
    assert matcher.choose(PASSWORD, [*far, near, unsure]).candidate is near
    assert reading.cache_info().misses == 6


def test_the_very_question_is_served_though_a_certain_one_is_nearer() -> None:
    asked = "How many players are on a football team?"
    found = [
        candidate(text, cosine(asked, text), key)
        for key, text in (
            ("other", "How many players are on the football team?"),
            ("same", "How many players are on a football team"),
        )
    ]
    assert found[0].similarity > found[1].similarity
    assert Matcher().decide(asked, str(found[0].question), found[0].similarity).certain
    for order in (found, found[::-1]):
        assert Matcher().choose(asked, order).candidate is found[1]


def test_a_grey_pair_is_pointed_out_to_the_judge() -> None:
    matcher = Matcher()
    unsure = candidate("What will happen once Redis goes down?", 0.9)
    verdict = matcher.choose(ASKED, [unsure, candidate(None, 0.99, "untold")])
    assert verdict.candidate is None
    assert verdict.reason == "no_question_text"
    assert verdict.grey is unsure


@pytest.mark.parametrize(
    ("asked", "similarity", "needed"),
    [
        ("How do I open a second account?", 0.95, None),  # a veto: nothing would help
        ("How do I open a giro account?", 0.2, FLOOR),  # what the similarity had to reach
        ("Wie öffne ich ein Konto bei euch?", 0.8, CAUTIOUS),
    ],
)
def test_a_refusal_names_the_threshold_that_was_missed(
    asked: str, similarity: float, needed: float | None
) -> None:
    decision = Matcher(CacheConfig()).decide(asked, "How do I open a first account?", similarity)
    assert not decision.accept
    assert decision.threshold == needed
    assert decision.score is None
