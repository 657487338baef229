"""What was known of invalidations at moments that are past."""

from __future__ import annotations

from aegis_llm.names import names_of
from aegis_llm.plan import State
from aegis_llm.stores import known as module
from aegis_llm.stores.known import Known
from aegis_llm.stores.local import LocalCopy
from aegis_llm.stores.memory import MemoryStore

D1 = names_of(("d1",), ())


class Clock:
    now = 10.0

    def __call__(self) -> float:
        return self.now


def test_the_past_is_as_it_was_seen() -> None:
    clock = Clock()
    store = MemoryStore(monotonic=clock)
    known = Known(store, LocalCopy(0, 60, clock))
    assert known() == State(1, 0, 0)
    clock.now = 20.0
    store.invalidate(D1)
    clock.now = 30.0
    assert known() == State(1, 1, 0)
    clock.now = 40.0
    store.renew()
    assert known() == State(2, 1, 0)
    assert known() is known()
    assert [known.at(moment) for moment in (9.0, 19.0, 20.0, 39.0, 40.0, 99.0)] == [
        State(1), State(1), State(1, 1), State(1, 1), State(2, 1), State(2, 1),
    ]  # fmt: skip


def test_what_is_too_long_ago_is_like_nothing_else() -> None:
    clock = Clock()
    store = MemoryStore(monotonic=clock)
    known = Known(store, LocalCopy(0, 60, clock))
    for _ in range(module._MOST + 1):
        clock.now += 1
        store.invalidate(D1)
        known()
    assert known.at(10.0).version not in (0, known().version)
    assert known.at(clock.now) == known()
