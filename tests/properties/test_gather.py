"""Laws of gathering: nothing lost, nothing twice, in order, and never later than the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.batching.gather import Gather

Step = tuple[Literal["add", "done", "remove", "wait"], float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "done", "remove", "wait"]),
        st.floats(0, 3) | st.sampled_from([0.0, 1.0]),
    ),
    max_size=60,
)
WINDOWS = st.sampled_from([0.0, 0.3, 1.0]) | st.floats(0, 2)


@dataclass
class World:
    """Callers around one Gather, who ask it when they have to and not more often."""

    gather: Gather[int]
    window: float
    max_batch: int
    max_in_flight: int
    always: bool
    now: float = 1000.0
    arrived: dict[int, float] = field(default_factory=dict)
    sent: dict[int, float] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    batches: list[list[int]] = field(default_factory=list)
    in_flight: int = 0

    @property
    def waiting(self) -> list[int]:
        """What was neither sent nor taken back, in the order of arrival."""
        return [one for one in self.arrived if one not in self.sent and one not in self.removed]

    def take(self) -> None:
        """Take what there is to send, and check each batch against the rule."""
        while True:
            waiting = self.waiting
            batch = self.gather.take(self.now)
            free = not self.always and self.in_flight < self.max_in_flight
            late = bool(waiting) and self.now >= self.arrived[waiting[0]] + self.window
            assert bool(batch) == (bool(waiting) and (free or late or self._full(waiting)))
            if not batch:
                return
            assert batch == waiting[: self.max_batch]
            self.in_flight += 1
            self.batches.append(batch)
            self.sent.update(dict.fromkeys(batch, self.now))

    def _full(self, waiting: list[int]) -> bool:
        return len(waiting) >= self.max_batch

    def play(self, step: Step) -> None:
        """Let one thing happen."""
        name, amount = step
        if name == "wait":
            self.wait(amount)
        elif name == "add":
            for number in range(len(self.arrived), len(self.arrived) + 1 + int(amount) * 2):
                self.arrived[number] = self.now
                self.gather.add(number, self.now)
        elif name == "done" and self.in_flight:
            self.in_flight -= 1
            self.gather.done()
        elif name == "remove" and self.arrived:
            one = int(amount * 7) % len(self.arrived)
            assert self.gather.remove(one) == (one in self.waiting)
            if one not in self.sent:
                self.removed.add(one)
        self.take()

    def wait(self, seconds: float) -> None:
        """Let time pass, and ask again when it is due."""
        end = self.now + seconds
        while (due := self.gather.due_at()) is not None and due <= end:
            assert due > self.now, "there was something to take before"
            self.now = due
            self.take()
        self.now = end


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A Gather of any settings."""
    window, always = draw(WINDOWS), draw(st.booleans())
    most, flying = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    gather: Gather[int] = Gather(
        window_s=window, max_batch=most, max_in_flight=flying, always=always
    )
    return World(gather, window, most, flying, always)


@given(worlds(), STEPS)
def test_each_item_is_sent_once_in_order_and_no_later_than_the_window(
    world: World, steps: list[Step]
) -> None:
    for step in steps:
        world.play(step)
    world.wait(world.window)

    assert world.waiting == []
    told = [one for batch in world.batches for one in batch]
    assert told == sorted(set(world.arrived) - world.removed)
    assert all(0 < len(batch) <= world.max_batch for batch in world.batches)
    assert all(at <= world.arrived[one] + world.window for one, at in world.sent.items())
    assert world.gather.due_at() is None
    assert world.gather.idle == (world.in_flight == 0)


@given(worlds(), STEPS)
def test_while_nothing_is_under_way_nothing_waits_unless_it_always_does(
    world: World, steps: list[Step]
) -> None:
    for step in steps:
        world.play(step)
        assert len(world.waiting) < world.max_batch
        if not world.always:
            assert not world.waiting or world.in_flight >= world.max_in_flight


def test_what_arrives_while_a_batch_is_under_way_goes_together_when_it_is_back() -> None:
    gather: Gather[str] = Gather(window_s=1.0, max_batch=32)
    gather.add("a", 0.0)
    assert gather.take(0.0) == ["a"]
    for item in "bcd":
        gather.add(item, 0.1)
    assert gather.take(0.2) == []
    assert gather.due_at() == 1.1
    gather.done()
    assert gather.take(0.3) == ["b", "c", "d"]


def test_an_item_that_is_there_twice_is_sent_twice() -> None:
    gather: Gather[str] = Gather(window_s=1.0, max_batch=32, always=True)
    for _ in range(3):
        gather.add("same", 0.0)
    assert gather.remove("same")
    assert gather.take(1.0) == ["same", "same"]
    assert not gather.remove("same")
