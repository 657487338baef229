"""Laws of the gates that hold for every text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.gates import veto
from aegis_llm.gates.facts import Facts
from aegis_llm.gates.opposites import OPPOSITES, contraries, denials, plain_forms
from aegis_llm.gates.words import ROLES
from aegis_llm.matching import gate

_PROSE = (
    "what is the capital of France Paris cat cats not don't from to by in 5 mg 1,000 2nd A.B. @x"
    " $5 ? , . and or who when how many way Will May X I if first most he colour color be seen see"
    ' \u2019s \ud800 \u0661 \U0001f600 `f(x)` "go" 12-year-old either/or'
    " 7! mg Mg -d -D d D java Java any all only paid paying did /etc/hosts table users user"
    " he him they them IT between best wifi wi fi"
)
_WORDS = _PROSE.split()
_PIECES = st.lists(st.sampled_from(_WORDS), max_size=12)
_TEXTS = st.one_of(st.text(), _PIECES.map(" ".join))


@st.composite
def _reworded(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts of nearly the same pieces, so that the later gates are reached."""
    pieces = draw(_PIECES)
    other = draw(st.permutations(pieces)) if draw(st.booleans()) else list(pieces)
    if other and draw(st.booleans()):
        other[draw(st.integers(0, len(other) - 1))] = draw(st.sampled_from(_WORDS))
    return " ".join(pieces), " ".join(other)


@given(st.one_of(st.tuples(_TEXTS, _TEXTS), _reworded()))
def test_a_gate_is_symmetric(pair: tuple[str, str]) -> None:
    a, b = pair
    assert gate(a, b) == gate(b, a)


@given(_TEXTS)
def test_a_text_may_answer_itself(text: str) -> None:
    assert gate(text, text) is None
    assert veto(Facts(text), Facts(text)) is None


_LETTERS = st.from_regex(r"[a-z]{1,12}", fullmatch=True)


@given(st.one_of(st.sampled_from([*OPPOSITES, *_WORDS]), _LETTERS))
def test_a_contrary_of_a_contrary_is_the_word(word: str) -> None:
    for relation in (contraries, denials):
        for other in relation(word) - ROLES.keys():
            assert not relation(other).isdisjoint(plain_forms(word)), (word, other)
