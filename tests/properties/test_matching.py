"""Laws of the gates that hold for every text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.matching import gate

_PIECES = st.sampled_from(
    "what is the capital of France Paris not from to 5 mg 1,000 don't 2nd A.B. @x $5 ? , . and"
    " who when how many way Will May \u2019s \ud800 \u0661 \U0001f600 if first most".split(" ")
)
_TEXTS = st.one_of(st.text(), st.lists(_PIECES, max_size=12).map(" ".join))


@given(_TEXTS, _TEXTS)
def test_a_gate_is_symmetric(a: str, b: str) -> None:
    assert gate(a, b) == gate(b, a)


@given(_TEXTS)
def test_a_text_may_answer_itself(text: str) -> None:
    assert gate(text, text) is None
