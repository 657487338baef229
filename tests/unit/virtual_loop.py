"""An event loop whose time is a number: it jumps to the next timer when nothing else is to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self._loop.now += timeout
        if not ready and timeout is None:
            ready = super().select(5)  # another thread may wake the loop
            assert ready, "the loop waits for something that never comes"
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never sleeps: a timer that is next in line is due at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """The virtual time in seconds."""
        return self.now

    def work(self, seconds: float) -> None:
        """Block the loop for a while, as a task does that computes."""
        self.now += seconds


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def loop() -> VirtualLoop:
    """The running loop."""
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running
