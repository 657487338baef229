"""Laws of the decision: symmetric, blind to the order of candidates, a veto is final."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.config import CacheConfig
from aegis_llm.matching import Matcher
from aegis_llm.values import Answer, Candidate, Entry
from benchmarks.matching.templates import Pair, pairs

_CONFIGS = {
    "strict": CacheConfig(),
    "balanced": CacheConfig(matching="balanced"),
    "fixed": CacheConfig(similarity=0.92),
    "none": CacheConfig(similarity=0.0),
    "promise": CacheConfig(max_wrong_hits=0.1),
}
_MATCHERS = {name: Matcher(config) for name, config in _CONFIGS.items()}
_MATCHER = st.sampled_from(list(_MATCHERS.values()))
_SIMILARITY = st.one_of(
    st.floats(0.3, 1.0), st.sampled_from([0.0, 1.0, -1.0, 2.0, nan, inf, -inf])
)
_MADE = list(pairs(3, 400))
_TEXT = st.one_of(
    st.text(max_size=80), st.sampled_from([side for pair in _MADE for side in pair[:2]])
)
_PAIR = st.one_of(
    st.sampled_from(_MADE).map(lambda pair: (pair.a, pair.b)), st.tuples(_TEXT, _TEXT)
)


@given(_PAIR, _SIMILARITY, _MATCHER)
def test_a_decision_is_symmetric(
    pair: tuple[str, str], similarity: float, matcher: Matcher
) -> None:
    a, b = pair
    assert matcher.decide(a, b, similarity) == matcher.decide(b, a, similarity)


@given(_PAIR, _SIMILARITY, _MATCHER)
def test_a_decision_is_the_same_each_time(
    pair: tuple[str, str], similarity: float, matcher: Matcher
) -> None:
    assert matcher.decide(*pair, similarity) == matcher.decide(*pair, similarity)


@given(_PAIR, _SIMILARITY, _MATCHER)
def test_a_veto_is_never_overruled(
    pair: tuple[str, str], similarity: float, matcher: Matcher
) -> None:
    decision = matcher.decide(*pair, similarity)
    if decision.vetoes:
        assert not decision.accept
        assert decision.reason == decision.vetoes[0]
    assert decision.accept == (decision.reason == "")


@given(_PAIR, st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_pair_that_is_vetoed_once_is_served_at_no_similarity(
    pair: tuple[str, str], one: float, other: float
) -> None:
    for matcher in _MATCHERS.values():
        if matcher.decide(*pair, one).vetoes:
            assert not matcher.decide(*pair, other).accept


@given(_TEXT, st.lists(st.tuples(_TEXT, _SIMILARITY), max_size=5), _MATCHER, st.randoms())
def test_reordering_the_candidates_changes_nothing(
    asked: str, found: list[tuple[str, float]], matcher: Matcher, random: object
) -> None:
    candidates = [
        Candidate(_entry(f"k{place}"), similarity, text)
        for place, (text, similarity) in enumerate(found)
    ]
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert matcher.choose(asked, candidates) == matcher.choose(asked, shuffled)


@given(_TEXT, st.lists(st.tuples(_TEXT, st.floats(0.3, 1.0)), max_size=5), _MATCHER)
def test_a_candidate_is_chosen_only_where_the_decision_accepts_it(
    asked: str, found: list[tuple[str, float]], matcher: Matcher
) -> None:
    candidates = [Candidate(_entry(f"k{n}"), near, text) for n, (text, near) in enumerate(found)]
    verdict = matcher.choose(asked, candidates)
    accepted = [text for text, near in found if matcher.decide(asked, text, near).accept]
    assert (verdict.candidate is not None) == bool(accepted)
    assert verdict.candidate is None or verdict.candidate.question in accepted


@pytest.mark.parametrize("name", ["strict", "balanced"])
@settings(max_examples=200)
@given(pair=st.sampled_from([pair for pair in _MADE if not pair.same]))
def test_a_number_or_name_that_differs_is_refused_however_near(name: str, pair: Pair) -> None:
    if pair.kind in ("number", "year", "version", "identifier", "path", "URL", "place", "person"):
        assert not _MATCHERS[name].decide(pair.a, pair.b, 0.999).accept


def _entry(key: str) -> Entry:
    return Entry(key=key, answers=(Answer(text="a"),), created_ms=0, expires_ms=1)
