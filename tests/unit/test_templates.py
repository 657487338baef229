"""The pairs that train the verifier: the same for a seed, balanced, and of every kind."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.matching.templates import Pair, pairs
from benchmarks.matching.topics import topics

MANY = 20_000


@pytest.fixture(scope="module")
def made() -> list[Pair]:
    return list(pairs(1, MANY))


def test_a_seed_decides_every_pair() -> None:
    assert list(pairs(5, 300)) == list(pairs(5, 300))
    assert list(pairs(5, 300)) != list(pairs(6, 300))
    assert list(pairs(5, 300)) == list(pairs(5, 600))[:300]


def test_same_and_different_pairs_are_about_as_many(made: list[Pair]) -> None:
    assert 0.48 < sum(pair.same for pair in made) / MANY < 0.52


def test_there_are_many_kinds_and_topics(made: list[Pair]) -> None:
    kinds = Counter((pair.same, pair.kind) for pair in made)
    assert len([kind for kind, count in kinds.items() if count >= 20]) >= 60
    assert len(topics()) >= 60


def test_no_text_is_left_unfilled_and_no_two_sides_are_equal(made: list[Pair]) -> None:
    for pair in made:
        assert pair.a != pair.b
        assert not any(mark in text for mark in "{}|~" for text in pair[:2] if "~/" not in text)


def test_no_pair_is_labelled_both_ways(made: list[Pair]) -> None:
    labels: dict[frozenset[str], bool] = {}
    for pair in made:
        key = frozenset(" ".join(text.lower().strip("?. ").split()) for text in pair[:2])
        assert labels.setdefault(key, pair.same) == pair.same, pair


def test_different_pairs_differ_in_more_than_writing(made: list[Pair]) -> None:
    for pair in made:
        if not pair.same:
            assert pair.a.lower() != pair.b.lower(), pair


def test_speech_alone_tells_nothing(made: list[Pair]) -> None:
    """Self-corrections are found among the different pairs too."""
    spoken = Counter(pair.same for pair in made if " no wait" in " ".join(pair[:2]))
    assert 0.2 < spoken[False] / spoken.total() < 0.8


@pytest.mark.parametrize("topic", topics(), ids=lambda topic: topic.name)
def test_each_topic_has_ways_to_ask_and_look_alikes(topic: object) -> None:
    assert len(topic.asks) >= 3  # type: ignore[attr-defined]
    assert topic.others  # type: ignore[attr-defined]
