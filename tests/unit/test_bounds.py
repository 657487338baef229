"""Exact bounds of a share: known values, and what must hold for all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bounds import at_most, incomplete_beta, lower_bound, upper_bound

# Beta quantiles to 12 digits: (wrong, n, confidence, lower bound, upper bound).
KNOWN = [
    (0, 10, 0.95, 0, 0.258865550893),
    (0, 300, 0.95, 0, 0.00993608194446),
    (1, 10, 0.95, 0.00511619689182, 0.394163302437),
    (5, 10, 0.9, 0.267318098687, 0.732681901313),
    (10, 10, 0.95, 0.741134449107, 1),
    (3, 200, 0.95, 0.00410061333507, 0.0383097084986),
    (12, 200, 0.9, 0.0394640314105, 0.0876178802999),
    (17, 1000, 0.99, 0.00892638837589, 0.0291292247276),
    (500, 1000, 0.975, 0.468549172972, 0.531450827028),
    (1900, 100000, 0.95, 0.0182951999139, 0.019725540997),
    (99990, 100000, 0.95, 0.999830383712, 0.999945744973),
    (2, 3, 0.5, 0.5, 0.793700525984),
    (2, 9, 0.3, 0.25014103765, 0.214227901104),
]


@pytest.mark.parametrize(("wrong", "n", "confidence", "lower", "upper"), KNOWN)
def test_the_known_values(
    wrong: int, n: int, confidence: float, lower: float, upper: float
) -> None:
    assert lower_bound(wrong, n, confidence) == pytest.approx(lower, rel=1e-9, abs=1e-12)
    assert upper_bound(wrong, n, confidence) == pytest.approx(upper, rel=1e-9, abs=1e-12)


def test_nothing_seen_says_nothing() -> None:
    assert (lower_bound(0, 0, 0.95), upper_bound(0, 0, 0.95)) == (0.0, 1.0)


@pytest.mark.parametrize("counts", [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="wrong of"):
        upper_bound(*counts, 0.9)
    with pytest.raises(ValueError, match="wrong of"):
        lower_bound(*counts, 0.9)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_an_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        upper_bound(1, 3, confidence)


counted = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
sure = st.floats(0.5, 0.999)


@given(counted, sure)
def test_the_bounds_hold_the_share_between_them(counts: tuple[int, int], sure: float) -> None:
    wrong, n = counts
    lower, upper = lower_bound(wrong, n, sure), upper_bound(wrong, n, sure)
    assert 0.0 <= lower <= wrong / n + 1e-9
    assert wrong / n - 1e-9 <= upper <= 1.0


@given(counted, sure)
def test_the_upper_bound_is_exact(counts: tuple[int, int], sure: float) -> None:
    wrong, n = counts
    if wrong < n:
        assert at_most(wrong, n, upper_bound(wrong, n, sure)) == pytest.approx(1 - sure, abs=1e-9)


@given(counted, sure)
def test_more_wrong_ones_raise_both_bounds(counts: tuple[int, int], sure: float) -> None:
    wrong, n = counts
    if wrong < n:
        assert upper_bound(wrong, n, sure) <= upper_bound(wrong + 1, n, sure)
        assert lower_bound(wrong, n, sure) <= lower_bound(wrong + 1, n, sure)


@given(counted, sure)
def test_one_more_right_one_lowers_the_upper_bound(counts: tuple[int, int], sure: float) -> None:
    wrong, n = counts
    assert upper_bound(wrong, n + 1, sure) <= upper_bound(wrong, n, sure)


@given(counted, st.floats(0.5, 0.9), st.floats(0.001, 0.09))
def test_more_confidence_widens(counts: tuple[int, int], sure: float, more: float) -> None:
    wrong, n = counts
    assert upper_bound(wrong, n, sure) <= upper_bound(wrong, n, sure + more)
    assert lower_bound(wrong, n, sure) >= lower_bound(wrong, n, sure + more)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), sure)
def test_the_tail_is_the_sum_of_its_terms(counts: tuple[int, int], share: float) -> None:
    wrong, n = counts
    terms = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(wrong + 1)]
    assert at_most(wrong, n, share) == pytest.approx(math.fsum(terms), rel=1e-9, abs=1e-12)


def test_the_ends_of_the_incomplete_beta() -> None:
    assert incomplete_beta(3, 4, 0.0) == 0.0
    assert incomplete_beta(3, 4, 1.0) == 1.0
    assert at_most(-1, 5, 0.5) == 0.0
    assert at_most(5, 5, 0.5) == 1.0
