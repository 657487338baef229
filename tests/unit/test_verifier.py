"""The shipped score: its files fit together, its trees are read right, and order says nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.gates.words import split
from aegis_llm.matching.features import NAMES, features
from aegis_llm.matching.forest import Forest
from aegis_llm.matching.reading import Pair
from aegis_llm.matching.verifier import shipped, threshold_at

INF = np.inf
STUMPS = Forest(
    feature=np.array([0, 0, 0, 1, 0, 0, 0, 0], np.intp),
    limit=np.array([0.5, INF, INF, 2.0, INF, 0.1, INF, INF], np.float32),
    left=np.array([1, 1, 2, 4, 4, 6, 6, 7], np.intp),
    value=np.array([0, -1.0, 1.0, 0, 0.25, 0, -0.5, 0.5], np.float32),
    roots=np.array([0, 3], np.intp),
    depth=2,
    base=0.125,
)


def by_hand(forest: Forest, row: list[float]) -> float:
    total = forest.base
    for root in forest.roots:
        node = int(root)
        while forest.left[node] != node:
            right = np.float32(row[forest.feature[node]]) > forest.limit[node]
            node = int(forest.left[node]) + bool(right)
        total += float(forest.value[node])
    return float(1 / (1 + np.exp(-total)))


@pytest.mark.parametrize("row", [[0.5, 2.0], [0.51, 2.0], [0.0, 3.0], [0.2, 3.0], [9.0, 9.0]])
def test_a_small_forest_is_evaluated_as_by_hand(row: list[float]) -> None:
    found = STUMPS.probability(np.array([row], np.float32))
    assert found.tolist() == pytest.approx([by_hand(STUMPS, row)])


def test_the_shipped_forest_is_evaluated_as_by_hand() -> None:
    forest = shipped().forest
    rows = np.random.RandomState(0).uniform(-1, 12, (20, len(NAMES))).astype(np.float32)
    assert forest.probability(rows).tolist() == pytest.approx(
        [by_hand(forest, row.tolist()) for row in rows], rel=1e-5
    )


def test_the_record_fits_the_weights() -> None:
    record, forest = shipped().record, shipped().forest
    assert tuple(record.features) == NAMES
    assert forest.feature.max() < len(NAMES)
    assert 0 < record.grey < record.balanced < record.strict < 1
    assert record.trained["trees"] == len(forest.roots)
    for name in ("strict", "balanced"):
        assert record.measured[name]["recall"] > 0


_WORDS = split("""
    what is the capital of France Paris who did not beat 5 mg more less all from to by in where
    no wait , I mean umm sorry red green reset password ? .
""")
_TEXT = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=12).map(" ".join)


@given(_TEXT, _TEXT, st.floats(0, 1))
def test_the_features_are_the_same_whichever_comes_first(a: str, b: str, near: float) -> None:
    known = shipped()
    one = features(Pair(a, b), near, known.rarity, known.rarest)
    other = features(Pair(b, a), near, known.rarity, known.rarest)
    assert one == pytest.approx(other)
    assert len(one) == len(NAMES)
    assert all(np.isfinite(one))


def test_a_stricter_promise_has_a_higher_threshold() -> None:
    thresholds = [threshold_at(share) for share in (0.02, 0.05, 0.1, 0.2)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == len(thresholds)


def test_texts_are_scored_one_by_one_as_together() -> None:
    pairs = [Pair("How do I reset it?", "How can I reset it?"), Pair("Who is he?", "Where is he?")]
    together = shipped().scores(pairs, [0.9, 0.8])
    alone = [
        shipped().scores([pair], [near])[0] for pair, near in zip(pairs, (0.9, 0.8), strict=True)
    ]
    assert together == pytest.approx(alone)
    assert shipped().scores([], []) == []
