"""Which texts are being computed, so that each is computed by one caller at a time.

A caller claims texts without waiting, computes what it leads, and waits for the others only then;
so no two callers wait for each other. The traps are those of `flight`: a blocking call waits
neither for a task of its own thread's loop, nor in a thread that the leading task may need, nor
for a loop that shows no sign of life.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Generic, TypeVar

from aegis_llm.scheduler.beats import answers, needs_thread
from aegis_llm.scheduler.forks import renew_in_child

_PATIENCE_S = 1.0  # between two looks at the leader's loop, and for its sign of life
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Led(Future[V | None], Generic[V]):
    """What one caller computes; None in the end: it did not."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        super().__init__()
        self.loop = loop
        self.owner = threading.get_ident()
        self.set_running_or_notify_cancel()


class Claimed(Generic[K, V]):
    """The part of a call that its caller leads (`mine`), and what others lead."""

    def __init__(
        self, work: UnderWay[K, V], led: dict[K, Led[V]], others: dict[K, Led[V]]
    ) -> None:
        self._work = work
        self._led = led
        self.mine = tuple(led)
        self.others = others

    def settle(self, outcomes: Mapping[K, V]) -> None:
        """Tell those that wait what became of these texts."""
        for key in outcomes:
            self._work.end(key, self._led.pop(key), outcomes[key])

    def release(self) -> None:
        """Let those that wait for what was not settled compute it themselves."""
        while self._led:
            self._work.end(*self._led.popitem(), None)


class UnderWay(Generic[K, V]):
    """All that is being computed, for threads and the tasks of any event loop."""

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget what the parent computes: a forked child has none of its threads."""
        self._lock = threading.RLock()  # garbage collection may release in the same thread
        self._led: dict[K, Led[V]] = {}

    def __len__(self) -> int:
        return len(self._led)

    def claim(self, keys: tuple[K, ...], loop: asyncio.AbstractEventLoop | None) -> Claimed[K, V]:
        """Lead what nobody leads; `loop` is that of a task."""
        mine: dict[K, Led[V]] = {}
        others: dict[K, Led[V]] = {}
        with self._lock:
            for key in keys:
                led = self._led.get(key)
                if led is None:
                    mine[key] = self._led[key] = Led(loop)
                else:
                    others[key] = led
        return Claimed(self, mine, others)

    def end(self, key: K, led: Led[V], outcome: V | None) -> None:
        """End what one caller leads."""
        with self._lock:
            if self._led.get(key) is led:  # a forked child has none of them
                del self._led[key]
        led.set_result(outcome)

    def wait(self, led: Led[V], most_s: float = math.inf) -> V | None:
        """Block until the outcome is there; None: whoever asks has to compute it.

        It is not there either when it is not `done` after `most_s` seconds.
        """
        here = asyncio._get_running_loop()
        if here is not None or led.owner == threading.get_ident():
            return led.result() if led.done() else None
        if led.loop is not None and needs_thread(led.loop, threading.current_thread().name):
            return led.result() if led.done() else None
        until = time.monotonic() + most_s
        while not led.done() and (left := until - time.monotonic()) > 0:
            try:
                return led.result(min(left, _PATIENCE_S))
            except FutureTimeoutError:
                if not answers(led.loop, _PATIENCE_S):
                    break
        return led.result() if led.done() else None

    async def await_(self, led: Led[V]) -> V | None:
        """Like `wait`, awaited."""
        return await asyncio.wrap_future(led)
