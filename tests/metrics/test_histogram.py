"""Histograms keep what they were told, and their quantiles lie where the values lie."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.metrics.histogram import LOOKUP_S, Histogram
from aegis_llm.metrics.registry import Registry
from aegis_llm.values import Origin

MS = st.lists(st.floats(0, 20_000), min_size=1, max_size=60)


def of(*apart: list[float]) -> Histogram:
    """The look-ups of threads that were told these milliseconds each."""
    registry = Registry(lambda: 0)

    def work(ms: list[float]) -> None:
        for one in ms:
            registry.ended(Origin("hit_local", lookup_ms=one), "", None)

    for ms in apart:
        thread = threading.Thread(target=work, args=(ms,))
        thread.start()
        thread.join()
    return registry.snapshot().lookups["local"]


@given(MS, MS)
def test_two_threads_count_what_one_would(one: list[float], other: list[float]) -> None:
    apart, together = of(one, other), of(one + other)
    assert apart.counts == together.counts
    assert apart.total == pytest.approx(together.total)
    assert together.count == len(one) + len(other)


@given(MS)
def test_a_value_lies_in_the_bucket_of_the_least_bound_that_is_not_below(ms: list[float]) -> None:
    cumulative = dict(of(ms).cumulative())
    for bound in LOOKUP_S:
        assert cumulative[repr(bound)] == sum(one <= 1000 * bound for one in ms)
    assert cumulative["+Inf"] == len(ms)


@given(MS, st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_value_of_that_rank(
    ms: list[float], share: float
) -> None:
    found = of(ms).quantile(share)
    assert found is not None
    ranked = sorted(ms)[max(0, min(len(ms) - 1, -(-int(share * len(ms) * 1e9) // 10**9) - 1))]
    ends = [0.0, *LOOKUP_S, float("inf")]
    place = next(i for i, end in enumerate(ends[1:], 1) if ranked / 1000 <= end * (1 + 1e-12))
    assert ends[place - 1] * (1 - 1e-9) <= found <= min(ends[place], LOOKUP_S[-1]) * (1 + 1e-9)


def test_without_values_there_is_no_quantile() -> None:
    empty = Histogram((1.0,), (0, 0))
    assert (empty.quantile(0.5), empty.mean, empty.count) == (None, 0.0, 0)
