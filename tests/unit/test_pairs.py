"""Pairs of questions: named by hashes alone, refusals stronger than approvals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.learning.pairs import PairMemory, pair_id

texts = st.text(st.characters(), max_size=40)


@given(texts, texts)
def test_a_pair_is_symmetric(one: str, other: str) -> None:
    assert pair_id(one, other) == pair_id(other, one)


def test_white_space_and_composition_do_not_count_and_everything_else_does() -> None:
    pair = pair_id("Is caf\u00e9 open?", "Is it open?")
    assert pair == pair_id("  Is  cafe\u0301\nopen? ", "Is it open?")
    others = [("Is Caf\u00e9 open?", "Is it open?"), ("Is caf\u00e9 open", "Is it open?")]
    assert all(pair != pair_id(*other) for other in others)


def test_two_pairs_of_the_same_texts_differ() -> None:
    assert len({pair_id("a", "b"), pair_id("a", "a"), pair_id("b", "b"), pair_id("ab", "")}) == 4


def test_lone_surrogates_and_long_texts_have_a_name() -> None:
    assert len(pair_id("\ud800", "x" * 100_000)) == 32


def test_no_text_is_kept() -> None:
    memory = PairMemory()
    memory.add(pair_id("a secret question", "another secret"), "same")
    assert "secret" not in repr(vars(memory))


def test_a_refusal_is_never_taken_back_and_an_approval_is() -> None:
    memory = PairMemory()
    pair = pair_id("a", "b")
    assert memory.get("a", "b") is None
    assert memory.add(pair, "same")
    assert not memory.add(pair, "same")
    assert memory.get("b", "a") == "same"
    assert memory.add(pair, "different")
    assert not memory.add(pair, "same")
    assert memory.get("a", "b") == "different"


def test_the_oldest_pairs_go_first() -> None:
    memory = PairMemory(most=3)
    memory.learn({pair_id("q", str(n)): "different" for n in range(5)})
    assert len(memory) == 3
    assert [memory.get("q", str(n)) for n in range(5)] == [None, None, *["different"] * 3]
