"""The figures of the notebooks on matching, scheduling and tuning are what they are said to be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

from tests.notebooks.conftest import Executed

Executing = Callable[[str], Executed]


def reading(burst: list[list[float]]) -> float:
    return sum(wrote - began for _, began, wrote, *_ in burst)


def test_strict_serves_nothing_wrong_and_more_than_it_says_is_not_claimed(
    executed: Executing,
) -> None:
    done = executed("3_matching")
    for place, name in ((2, "strict"), (3, "balanced")):
        served = [pair for pair in done.values if pair[place]]
        right = sum(same for same, *_ in served)
        told = f"{name}: {right} of 60 rewordings served, {len(served) - right} wrong hits"
        assert told in done.printed
        drawn = f"{name}: {right / 0.6:.0f} % served, {100 * right / len(served):.0f} % right"
        assert drawn in done.axes[1]["legend"]
    assert not [pair for pair in done.values if pair[2] and not pair[0]]


def test_no_threshold_of_a_bare_cosine_serves_as_much_without_a_wrong_hit(
    executed: Executing,
) -> None:
    pairs = executed("3_matching").values
    assert sum(same for same, *_ in pairs) == len(pairs) / 2 == 60
    nearest_wrong = max(cosine for same, cosine, *_ in pairs if not same)
    clean = sum(same and cosine > nearest_wrong for same, cosine, *_ in pairs)
    assert clean < sum(same and strict for same, _, strict, _ in pairs)


def test_the_same_requests_need_less_reading_in_the_schedulers_order(
    executed: Executing,
) -> None:
    done = executed("4_scheduling")
    gathered, ordered = done.values
    assert "4 slots" in done.printed
    assert [one[0] for one in gathered] == [one[0] for one in ordered]
    assert len(gathered) == 40
    assert reading(ordered) < 0.8 * reading(gathered)
    for burst, axes in zip((gathered, ordered), done.axes, strict=True):
        last = max(ended for *_, ended, _ in burst)
        assert axes["title"].endswith(f": {last:.2f} s")
        assert {slot for *_, slot in burst} <= {0, 1, 2, 3}
        assert all(began < wrote < ended for _, began, wrote, ended, _ in burst)
        for slot in range(4):
            mine = sorted(one[1:4] for one in burst if one[4] == slot)
            assert all(a[2] <= b[0] + 0.005 for a, b in itertools.pairwise(mine))
    assert "seconds" in done.axes[-1]["across"]


def test_the_advised_settings_are_in_force_on_the_second_server(executed: Executing) -> None:
    done = executed("5_tuning")
    (before, after), advised, proof = done.values
    assert int(advised["OLLAMA_NUM_PARALLEL"]) == 8
    assert proof == [[name, value, "in force"] for name, value in advised.items()]
    for name, value in advised.items():
        assert f'Environment="{name}={value}"' in done.printed
    assert {slot for *_, slot in before} == {0}
    assert 1 < max(slot for *_, slot in after) + 1 <= 8
    for name, burst in (
        ("defaults (NUM_PARALLEL=1)", before),
        ("advised (NUM_PARALLEL=8)", after),
    ):
        ended = sorted(one[3] for one in burst)
        told = f"{name}: half after {ended[8]:.2f} s, all after {ended[-1]:.2f} s"
        assert told in done.axes[0]["legend"]


def test_the_memory_in_the_picture_is_that_of_the_machine(executed: Executing) -> None:
    axes: dict[str, Any] = executed("5_tuning").axes[1]
    assert "GiB" in axes["across"]
    sizes = [
        float(found[1]) for one in axes["texts"] if (found := re.match(r" ([\d.]+) GiB", one))
    ]
    assert len(sizes) == 6
    assert abs(sum(sizes) - 23.99) < 0.04
