"""How often the judge is asked: by the traffic, with a short burst."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.learning.allowance import BURST, REQUESTS_A_CALL, Allowance


def test_five_at_once_and_then_one_for_twenty_requests() -> None:
    made = Allowance()
    assert [made.take() for _ in range(7)] == [True] * 5 + [False] * 2
    for _ in range(19):
        made.seen()
    assert not made.take()
    made.seen()
    assert made.take()
    assert not made.take()


def test_a_long_silence_of_the_judge_saves_up_no_more_than_a_burst() -> None:
    made = Allowance()
    for _ in range(10_000):
        made.seen()
    assert made.left == BURST == 5


@given(st.lists(st.booleans(), max_size=400))
def test_never_more_than_a_twentieth_and_the_burst(asks: list[bool]) -> None:
    made, calls = Allowance(), 0
    for number, wants in enumerate(asks, 1):
        made.seen()
        calls += wants and made.take()
        assert calls <= BURST + number / REQUESTS_A_CALL
