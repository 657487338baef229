"""The count of invalidations: what is another process's, in whatever order replies come."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm import events
from aegis_llm.stores.channel import Channel

VERSION = 7
STEPS = ("other", "ask", "incr", "reply", "lose", "read", "get", "learn", "look")


class Process:
    """A process that does not listen, and the counter in Redis that it shares with others."""

    def __init__(self) -> None:
        self.channel = Channel("app", 60.0)
        self.missed = 0
        self.others = 0
        self.counter = 0
        self.asked: list[tuple[int, list[int]]] = []  # `updates` then, and the reply
        self.reads: list[tuple[int, list[int]]] = []
        self.channel.hearers.add(self.hear)
        self.look()

    def hear(self, event: bytes) -> None:
        self.missed += isinstance(events.decode(event), events.Missed)

    def step(self, name: str, which: int = -1) -> None:
        """Go on with one of the things under way, if there is one."""
        if name in ("incr", "reply", "lose") and not self.asked:
            return
        if name in ("get", "learn") and not self.reads:
            return
        getattr(self, name)(which)

    def other(self, _: int) -> None:
        self.counter += 1
        self.others += 1

    def ask(self, _: int) -> None:
        self.asked.append((self.channel.counting(), []))

    def incr(self, which: int) -> None:
        _, told = self.asked[which % len(self.asked)]
        if not told:
            self.counter += 1
            told.append(self.counter)

    def reply(self, which: int) -> None:
        updates, told = self.asked.pop(which % len(self.asked))
        self.channel.counted(told[0] if told else 0, updates)

    def lose(self, which: int) -> None:
        updates, told = self.asked.pop(which % len(self.asked))
        self.channel.counted(0, updates)
        self.others += len(told)

    def read(self, _: int) -> None:
        self.reads.append((self.channel.updates, []))

    def get(self, which: int) -> None:
        _, told = self.reads[which % len(self.reads)]
        told[:] = [self.counter]

    def learn(self, which: int) -> None:
        updates, told = self.reads.pop(which % len(self.reads))
        if told:
            self.channel.learned((VERSION, told[0]), updates)

    def look(self, _: int = 0) -> None:
        """Read all at once."""
        for name in ("read", "get", "learn"):
            self.step(name)


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=40))
def test_what_was_missed_is_told_and_nothing_else(steps: list[tuple[str, int]]) -> None:
    """A number whose reply was lost is as good as another's."""
    process = Process()
    for step in steps:
        before = process.channel.sequence
        process.step(*step)
        assert process.channel.sequence >= before
        assert process.others or not process.missed
    while process.asked:
        process.step("incr")
        process.step("reply")
    process.look()
    assert bool(process.missed) == bool(process.others)
    assert process.channel.numbers == (VERSION, process.counter)


@pytest.mark.parametrize("listening", [False, True])
def test_its_own_number_is_not_missed_when_it_is_read_before_the_reply(listening: bool) -> None:
    process = Process()
    process.step("ask")
    process.step("incr")
    process.look()
    process.channel.listening = listening
    process.step("reply")
    process.look()
    assert process.missed == 0
    assert process.channel.sequence == 1


def test_replies_in_another_order_leave_the_newest_number() -> None:
    process = Process()
    for name in ("ask", "incr", "ask", "incr"):
        process.step(name)
    process.step("reply", 1)
    process.step("reply", 0)
    assert process.channel.sequence == 2
    assert process.missed == 0


def test_anothers_number_is_told_when_the_reply_shows_that_it_is() -> None:
    process = Process()
    process.step("ask")
    process.step("other")
    process.look()
    assert process.missed == 0, "it may be its own"
    process.step("incr")
    process.step("reply")
    assert process.missed == 1


def test_anothers_numbers_are_told_once() -> None:
    process = Process()
    process.step("ask")
    for _ in range(2):
        process.step("other")
        process.look()
    assert process.missed == 1, "they are more than it waits for"
    process.step("incr")
    process.step("reply")
    assert process.missed == 1


def test_anothers_number_before_its_own_is_told() -> None:
    process = Process()
    for name in ("other", "ask", "incr", "reply"):
        process.step(name)
    assert process.missed == 1


def test_a_count_that_redis_lost_is_taken_as_it_is_now() -> None:
    process = Process()
    for name in ("ask", "incr", "reply") * 3:
        process.step(name)
    process.counter = 0
    for name in ("ask", "incr", "reply"):
        process.step(name)
    assert process.channel.sequence == 1
    assert process.missed == 1, "who knows who invalidated since"


@pytest.mark.parametrize("sequence", [b"many", 10**30])
def test_a_foreign_value_in_its_place_is_no_trouble(sequence: Any) -> None:
    process = Process()
    process.channel.learned((VERSION, sequence), process.channel.updates)
    process.step("ask")
    process.channel.counted(2, process.channel.updates)
    assert process.channel.sequence == 2
