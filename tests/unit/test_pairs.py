"""Pairs of questions: named by hashes alone, refusals stronger than approvals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.learning.pairs import Finding, PairMemory, PairVerdict, approval_id, pair_id

SCOPE = "5" * 64
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
    memory.add(approval_id("a secret question", "another secret", SCOPE, ""), "approved")
    memory.add(pair_id("a secret question", "another secret"), "refused")
    assert "secret" not in repr(vars(memory))


def told(memory: PairMemory, asked: str = "a", cached: str = "b") -> PairVerdict | None:
    """What is known of two questions, in the one scope."""
    return memory.get(asked, cached, SCOPE, "")


def test_a_refusal_is_never_taken_back_and_an_approval_is() -> None:
    refusals: tuple[Finding, ...] = ("refused", "rejected")
    for finding in refusals:
        memory = PairMemory()
        pair, approved = pair_id("a", "b"), approval_id("a", "b", SCOPE, "")
        assert told(memory) is None
        assert memory.add(approved, "approved")
        assert not memory.add(approved, "approved")
        assert told(memory, "b", "a") == "same"
        assert memory.add(pair, finding)
        assert not memory.add(pair, finding)
        memory.add(approval_id("b", "a", SCOPE, ""), "approved")
        assert told(memory) == "different"


def test_an_approval_holds_for_one_scope_and_one_judge_and_a_refusal_everywhere() -> None:
    memory = PairMemory()
    memory.add(approval_id("a", "b", SCOPE, "m:latest"), "approved")
    assert memory.get("b", "a", SCOPE, "m:latest") == "same"
    assert memory.get("a", "b", "6" * 64, "m:latest") is None
    assert memory.get("a", "b", SCOPE, "other:latest") is None
    memory.add(pair_id("a", "b"), "refused")
    for scope in (SCOPE, "6" * 64):
        assert memory.get("a", "b", scope, "") == "different"


def test_the_oldest_pairs_of_a_kind_go_first() -> None:
    memory = PairMemory(most=3)
    memory.learn({pair_id("q", str(n)): "refused" for n in range(5)})
    assert len(memory) == 3
    assert [told(memory, "q", str(n)) for n in range(5)] == [None, None, *["different"] * 3]


def test_a_rejection_outlives_any_number_of_other_verdicts() -> None:
    memory = PairMemory(most=3)
    memory.add(pair_id("a", "b"), "rejected")
    memory.learn({pair_id("q", str(n)): "refused" for n in range(50)})
    memory.learn({approval_id("q", str(n), SCOPE, ""): "approved" for n in range(50)})
    assert told(memory) == "different"
    memory.learn({pair_id("r", str(n)): "rejected" for n in range(3)})
    assert told(memory) is None  # only others of its kind push it out


def test_approvals_go_before_refusals() -> None:
    memory = PairMemory(most=3)
    memory.learn({approval_id("q", str(n), SCOPE, ""): "approved" for n in range(3)})
    memory.add(pair_id("a", "b"), "refused")
    memory.add(pair_id("c", "d"), "rejected")
    assert [told(memory, "q", str(n)) for n in range(3)] == [None, None, "same"]
    memory.add(pair_id("e", "f"), "refused")
    memory.add(approval_id("q", "new", SCOPE, ""), "approved")
    assert told(memory, "q", "2") is None
    assert told(memory, "q", "new") is None
    assert [told(memory, *pair) for pair in ("ab", "cd", "ef")] == ["different"] * 3
