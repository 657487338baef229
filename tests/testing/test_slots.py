"""Prefix reuse of the simulated slots, against what was measured on a real llama-server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.testing import Timing
from aegis_llm.testing.slots import Slots, common_prefix

START = ("<s>", "<|", "user", "|>")
PREFIX = 1905


def prompt(document: str, question: str) -> tuple[str, ...]:
    shared = START + (document,) * (PREFIX - len(START))
    return shared + (question,) * 35


def ask(slots: Slots, document: str, question: str, now: float) -> int:
    slot, reused = slots.take(prompt(document, question), now)
    slots.give_back(slot, ("answer",), now)
    return reused


def test_one_after_the_other_reuses_the_prefix() -> None:
    slots = Slots(4)
    assert [ask(slots, "A", f"q{n}", n) for n in range(5)] == [0, PREFIX, PREFIX, PREFIX, PREFIX]


def test_a_cold_burst_pays_the_prefix_in_every_slot_and_then_never() -> None:
    slots = Slots(4)
    for burst, expected in enumerate((0, PREFIX)):
        taken = [slots.take(prompt("A", f"{burst}{n}"), burst) for n in range(4)]
        assert [reused for _, reused in taken] == [expected] * 4
        for slot, _ in taken:
            slots.give_back(slot, (), burst)


def test_a_warm_up_helps_one_slot() -> None:
    slots = Slots(4)
    ask(slots, "A", "warm", 0)
    assert [slots.take(prompt("A", f"q{n}"), 1)[1] for n in range(4)] == [PREFIX, 0, 0, 0]


def test_the_question_in_front_spoils_the_reuse() -> None:
    slots = Slots(1)
    for n in range(4):
        slot, reused = slots.take((f"q{n}", *prompt("A", "")[len(START) :]), n)
        slots.give_back(slot, (), n)
        assert reused == 0


@pytest.mark.parametrize(
    ("memory", "expected"),
    [(1 << 20, [0, len(START), PREFIX, PREFIX]), (0, [0, len(START), len(START), len(START)])],
)
def test_two_prefixes_alternate_through_host_memory(memory: int, expected: list[int]) -> None:
    slots = Slots(1, cache_tokens=memory)
    assert [ask(slots, document, f"{n}", n) for n, document in enumerate("ABAB")] == expected


def test_host_memory_drops_the_oldest() -> None:
    slots = Slots(1, cache_tokens=2000)
    assert [ask(slots, d, f"{n}", n) for n, d in enumerate("ABCBA")][3:] == [PREFIX, len(START)]


def test_the_last_token_is_always_read() -> None:
    slots = Slots(1)
    slot, _ = slots.take(("a", "b", "c"), 0)
    slots.give_back(slot, (), 0)
    assert slots.take(("a", "b", "c"), 1)[1] == 2


def test_the_answer_stays_for_the_next_turn() -> None:
    slots = Slots(1)
    slot, _ = slots.take(("a", "b"), 0)
    slots.give_back(slot, ("c", "d"), 0)
    assert slots.take(("a", "b", "c", "d", "e"), 1)[1] == 4


def test_no_slot_is_given_twice() -> None:
    slots = Slots(2)
    assert {slots.take(("a",), 0)[0], slots.take(("a",), 0)[0]} == {0, 1}
    assert (slots.idle, slots.busy) == (0, 2)
    with pytest.raises(LookupError, match="busy"):
        slots.take(("a",), 0)


@given(st.lists(st.sampled_from("ab"), max_size=12), st.lists(st.sampled_from("ab"), max_size=12))
def test_common_prefix(left: list[str], right: list[str]) -> None:
    expected = 0
    while expected < min(len(left), len(right)) and left[expected] == right[expected]:
        expected += 1
    assert common_prefix(left, right) == expected


def test_timing() -> None:
    timing = Timing(prefill=1000, decode=50, contention=0.5)
    assert timing.prefill_time(500) == pytest.approx(0.5)
    assert timing.token_time(1) == pytest.approx(0.02)
    assert timing.token_time(3) == pytest.approx(0.04)
    assert Timing().prefill_time(500) == Timing().token_time(4) == 0.0
