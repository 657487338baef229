"""Which last turns may be answered across conversations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.matching.standalone import standalone
from tests.unit.conversations import ALONE, LEANING, history

QUESTION = "What is the capital of France?"
BEFORE = history(ALONE[0][0])


@pytest.mark.parametrize(("turns", "question"), ALONE)
def test_it_stands_alone(turns: tuple[str, ...], question: str) -> None:
    assert standalone(question, history(turns))
    assert standalone(question, [{"role": "system", "content": "Be kind."}, *history(turns)])


@pytest.mark.parametrize(("turns", "question"), LEANING)
def test_it_needs_its_history(turns: tuple[str, ...], question: str) -> None:
    assert not standalone(question, history(turns))


@pytest.mark.parametrize(
    "before",
    [
        BEFORE[:1],
        BEFORE[1:],
        [BEFORE[1], BEFORE[0]],
        [BEFORE[0], BEFORE[0]],
        [*BEFORE, {"role": "tool", "content": "7"}],
        [BEFORE[0], {**BEFORE[1], "tool_calls": [{"function": {"name": "f"}}]}],
        [{**BEFORE[0], "images": ["aGk="]}, BEFORE[1]],
        [{**BEFORE[0], "name": "Ann"}, BEFORE[1]],
        [BEFORE[0], {"role": "assistant", "content": "```x = 1```"}],
        [BEFORE[0], {"role": "assistant", "content": "word " * 10_000}],
        [BEFORE[0], {"role": "assistant", "content": None}],
        [BEFORE[0], {"role": "assistant"}],
        [{"content": "x"}, BEFORE[1]],
        BEFORE * 30,
    ],
)
def test_other_histories_than_plain_turns_are_needed(before: list[dict[str, Any]]) -> None:
    assert standalone(QUESTION, BEFORE)
    assert not standalone(QUESTION, before)


def test_a_first_turn_has_no_history() -> None:
    assert standalone("And in winter?", [])
    assert standalone("And in winter?", [{"role": "system", "content": "Be kind."}])


@given(st.text(), st.lists(st.text(), max_size=5))
@settings(max_examples=200)
def test_it_never_raises(question: str, turns: list[str]) -> None:
    assert isinstance(standalone(question, history(tuple(turns))), bool)


@given(st.sampled_from(LEANING), st.sampled_from(ALONE))
@settings(max_examples=100)
def test_more_turns_make_nothing_stand_alone(
    leaning: tuple[tuple[str, ...], str], other: tuple[tuple[str, ...], str]
) -> None:
    assert not standalone(leaning[1], history((*other[0], *leaning[0])))
