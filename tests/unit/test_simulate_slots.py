"""Slots by the names of prefixes choose and reuse as the slots that compare token by token."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_llm.simulate.slots import PrefixSlots
from aegis_llm.testing.slots import Slots

# Lengths that make a tenth and a half come out exactly, and ties between slots.
PROMPTS = st.tuples(
    st.sampled_from(["", "a", "b", "c"]),
    st.sampled_from([0, 5, 10, 20, 40]),
    st.sampled_from([5, 10, 20, 35, 40, 45, 90]),
    st.sampled_from([0, 5, 10, 30]),
)


@settings(max_examples=500)
@given(
    st.integers(1, 4),
    st.sampled_from([0, 60, 150, 100_000]),
    st.lists(st.tuples(PROMPTS, st.integers(0, 5)), max_size=40),
)
def test_both_kinds_of_slots_agree(
    parallel: int, memory: int, asked: list[tuple[tuple[str, int, int, int], int]]
) -> None:
    by_name, by_token = PrefixSlots(parallel, memory), Slots(parallel, memory)
    held: list[tuple[int, int]] = []
    for now, ((prefix, length, own, answer), free) in enumerate(asked):
        shared = length if prefix else 0
        if by_token.idle == 0 or (held and free == 0):
            slot, said = held.pop(0)
            by_name.give_back(slot, said, now)
            by_token.give_back(slot, ("said",) * said, now)
        prompt = tuple(f"{prefix}{n}" for n in range(shared)) + (f"own{now}",) * own
        taken = by_name.take(prefix, shared, len(prompt), now)
        assert taken == by_token.take(prompt, now)
        assert by_name.idle == by_token.idle
        held.append((taken[0], answer))


def test_prompts_in_host_memory_are_bounded_and_forgotten() -> None:
    slots = PrefixSlots(1, 1_000)
    for number in range(5_000):
        slot, reused = slots.take(f"chat {number}", 90, 100, number)
        assert reused == 0
        slots.give_back(slot, 10, number)
    assert len(slots._stored) == len(slots._named) == 9  # of 110 tokens each
    assert slots._held == 990


def test_of_slots_that_have_as_much_the_first_is_taken() -> None:
    by_name, by_token = PrefixSlots(3, 0), Slots(3, 0)
    shared = ("shared",) * 50
    for _ in range(3):
        by_name.take("a", 50, 60, 1)
        by_token.take((*shared, *("own",) * 10), 1)
    for now, slot in enumerate((0, 2, 1)):  # given back in this order
        by_name.give_back(slot, 0, now)
        by_token.give_back(slot, (), now)
    taken = by_name.take("a", 50, 60, 9)
    assert taken == by_token.take((*shared, *("other",) * 10), 9) == (0, 50)
