"""Which items are sent together, and when: Nagle's rule, with the time as an argument."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Gather(Generic[T]):
    """Items that wait to be sent in batches.

    While fewer than `max_in_flight` batches are under way, what is there is sent at once: waiting
    would save nothing. Else items are gathered until the first of them has waited for `window_s`
    or there are `max_batch`, and are then sent all the same: nobody waits longer than the window.

    Ask `take` after `add`, `remove` and `done`, and at `due_at`, until it returns nothing.

    Args:
        window_s: Longest wait in seconds.
        max_batch: Most items of one batch.
        max_in_flight: Batches under way from which on items are gathered.
        always: Gather even while nothing is under way.
    """

    __slots__ = ("_always", "_in_flight", "_max_batch", "_max_in_flight", "_waiting", "_window")

    def __init__(
        self, *, window_s: float, max_batch: int, max_in_flight: int = 1, always: bool = False
    ) -> None:
        self._window = window_s
        self._max_batch = max_batch
        self._max_in_flight = max_in_flight
        self._always = always
        self._waiting: deque[tuple[T, float]] = deque()
        self._in_flight = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._waiting and not self._in_flight

    def add(self, item: T, now: float) -> None:
        """Let an item wait."""
        self._waiting.append((item, now))

    def remove(self, item: T) -> bool:
        """Let go an item whose caller has left; return whether it waited still."""
        for place, (waiting, _) in enumerate(self._waiting):
            if waiting is item:
                del self._waiting[place]
                return True
        return False

    def take(self, now: float) -> list[T]:
        """Return the batch to send now, in the order of arrival; it is under way until `done`."""
        free = not self._always and self._in_flight < self._max_in_flight
        full = len(self._waiting) >= self._max_batch
        due = self.due_at()
        if due is None or not (free or full or now >= due):
            return []
        self._in_flight += 1
        count = min(len(self._waiting), self._max_batch)
        return [self._waiting.popleft()[0] for _ in range(count)]

    def done(self) -> None:
        """Note that a batch came back."""
        self._in_flight -= 1

    def due_at(self) -> float | None:
        """Return when `take` must be asked again if nothing else happens."""
        return self._waiting[0][1] + self._window if self._waiting else None
