"""Labels: totals, pooled estimates, the window, the alarm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.config import CacheConfig
from aegis_llm.learning.learned import Learned
from aegis_llm.learning.ledger import LOG, WINDOW, Counts, Label, Ledger, Source

PROMISED = 0.02


def label(right: bool = True, entry: str = "e", source: Source = "check") -> Label:
    return Label(entry, right, source)


def ledger(rights: list[bool], promised: float = PROMISED) -> Ledger:
    made = Ledger(promised)
    for right in rights:
        made.add(label(right))
    return made


@pytest.mark.parametrize(
    ("settings", "promised"),
    [({}, 0.02), ({"matching": "balanced"}, 0.08), ({"max_wrong_hits": 0.05}, 0.05)],
)
def test_the_promise_is_that_of_the_settings(settings: dict[str, object], promised: float) -> None:
    assert Learned(CacheConfig(**settings)).ledger.promised == promised  # type: ignore[arg-type]


def test_nothing_known_is_what_was_promised() -> None:
    told = Ledger(PROMISED).summary()
    assert (told.right, told.wrong, told.drift, told.distrusted) == (0, 0, False, 0)
    assert told.expected == PROMISED
    assert (told.lower, told.upper) == (0.0, 1.0)


@pytest.mark.parametrize("wrong", [1, 2])
def test_a_few_wrong_ones_are_no_alarm(wrong: int) -> None:
    made = ledger([False] * wrong)
    assert not made.drift
    assert not ledger([False] * wrong + [True] * 98).drift


def test_a_sure_excess_is_an_alarm_and_it_ends_under_the_promise() -> None:
    made = ledger([True] * 30 + [False] * 4)
    assert made.drift
    told = made.summary()
    assert told.lower > PROMISED
    assert told.window == Counts(30, 4)
    for _ in range(WINDOW - 34):
        made.add(label())
    assert not made.drift  # four of two hundred


def test_the_alarm_does_not_flutter() -> None:
    made = ledger([True] * 30 + [False] * 4)
    made.add(label())
    assert made.drift


def test_what_left_the_window_counts_no_more() -> None:
    made = ledger([False] * 50)
    for _ in range(WINDOW):
        made.add(label())
    assert made.window == Counts(WINDOW, 0)
    assert not made.drift
    assert made.summary().wrong == 50


def test_rejections_are_counted_and_not_drawn_blindly() -> None:
    made = Ledger(PROMISED)
    for number in range(100):
        made.add(label(False, str(number), "reject"))
    assert made.summary().wrong == 100
    assert made.window == Counts()
    assert not made.drift


def test_an_entry_leaves_the_pool_with_evidence_only() -> None:
    made = ledger([True] * 50)
    made.add(label(False, "bad"))
    assert made.distrusted == frozenset()
    made.add(label(False, "bad"))
    assert made.distrusted == {"bad"}


def test_in_a_bad_namespace_an_entry_without_labels_is_not_distrusted() -> None:
    made = Ledger(PROMISED)
    made.replace(Counts(0, 1000), Counts(0, 1000), [])
    assert made.expected > 0.9
    made.add(label(False, "once"))
    assert made.distrusted == frozenset()


def test_an_entry_in_a_namespace_that_was_right_has_more_credit() -> None:
    """Two wrong ones of four condemn an entry, unless all others were right very often."""
    made = Ledger(PROMISED)
    for known, condemned in ((Counts(), True), (Counts(100_000, 0), False)):
        made.replace(known, known, [])
        for right in (True, True, False, False):
            made.add(label(right, "e"))
        assert (made.distrusted == {"e"}) is condemned


def test_a_new_namespace_expects_what_others_saw() -> None:
    made = Ledger(PROMISED)
    made.replace(Counts(), Counts(700, 300), [])
    assert 0.25 < made.expected < 0.3
    made.replace(Counts(5000, 0), Counts(5700, 300), [])
    assert made.expected < 0.01


def test_the_log_is_bounded() -> None:
    made = ledger([True] * (LOG + 5))
    assert len(made._log) == LOG
    assert made._entries["e", True] == LOG
    assert made.summary().right == LOG + 5


shuffled = st.lists(
    st.builds(Label, st.sampled_from("abc"), st.booleans(), st.sampled_from(["check", "shadow"])),
    max_size=WINDOW,
).flatmap(lambda labels: st.tuples(st.just(labels), st.permutations(labels)))


@given(shuffled)
def test_inside_the_window_the_order_does_not_matter(
    labels: tuple[list[Label], list[Label]],
) -> None:
    told = []
    for order in labels:
        made = Ledger(PROMISED)
        for one in order:
            made.add(one)
        summary = made.summary()
        told.append((summary.window, summary.lower, summary.upper, summary.expected))
    assert told[0] == told[1]


@given(st.lists(st.builds(Label, st.sampled_from("abc"), st.booleans(), st.just("check"))))
def test_what_is_read_back_is_what_was_added(labels: list[Label]) -> None:
    added, read = Ledger(PROMISED), Ledger(PROMISED)
    for one in labels:
        added.add(one)
    right = sum(one.right for one in labels)
    totals = Counts(right, len(labels) - right)
    read.replace(totals, totals, labels)
    assert read.drift == added.drift
    assert read.window == added.window
    assert read.expected == added.expected


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_another_right_one_never_raises_what_is_expected(rights: list[bool]) -> None:
    made = ledger(rights)
    before = made.expected
    made.add(label())
    assert made.expected <= before
