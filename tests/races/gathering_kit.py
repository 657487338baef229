"""Senders under the test's control, and a crowd of callers around them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aegis_llm.scheduler.gathering import Gathering
from tests.races.kit import PATIENCE, TooLateError, auntil, until

LONG = 3600.0  # a window that never ends by itself


class RefusedError(Exception):
    """The sender refuses an item, or everything."""


class Sender:
    """Sends batches that wait for `gate`, but for those that are one item; counts them all.

    An item `bad...` gets an exception in the place of its result; a batch with `poison` fails as a
    whole, as does one that `fails` is set for.
    """

    def __init__(self, **settings: Any) -> None:
        self.gate = threading.Event()
        self.batches: list[list[Any]] = []
        self.held: list[list[Any]] = []
        self.threads: list[str] = []
        self.cancelled = 0
        self.fails: BaseException | None = None
        self.gathering: Gathering[Any, Any] = Gathering(
            self.send, self.asend, **{"window_s": LONG, **settings}
        )

    @property
    def items(self) -> list[Any]:
        """Everything that was sent."""
        return [item for batch in self.batches for item in batch]

    def send(self, items: list[Any]) -> list[Any]:
        """Send, blocking."""
        self.threads.append(threading.current_thread().name)
        if self._held(items):
            until(self.gate.is_set)
        return self._results(items)

    async def asend(self, items: list[Any]) -> list[Any]:
        """Send, awaited."""
        self.threads.append("task")
        try:
            if self._held(items):
                await auntil(self.gate.is_set)
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            for _ in range(5):  # it tidies up
                await asyncio.sleep(0)
            self.cancelled += 1
            raise
        return self._results(items)

    def _held(self, items: list[Any]) -> bool:
        self.batches.append(items)
        held = len(items) > 1 or items == ["first"]
        if held:
            self.held.append(items)
        return held

    def _results(self, items: list[Any]) -> list[Any]:
        if self.fails is not None and len(items) > 1:
            raise self.fails
        if "poison" in items:
            raise RefusedError(f"poison among {len(items)}")
        return [
            RefusedError(item) if str(item).startswith("bad") else f"{item}!" for item in items
        ]

    def busy(self) -> Callable[[], Any]:
        """Let a thread send `first`, so that all others are gathered; return how to end that."""
        thread = threading.Thread(target=lambda: self.gathering.call("first"), daemon=True)
        thread.start()
        until(lambda: self.held)

        def end() -> None:
            self.gate.set()
            thread.join(PATIENCE)
            if thread.is_alive():
                raise TooLateError(thread)

        return end


@contextmanager
def sender(**settings: Any) -> Iterator[Sender]:
    """A sender whose gathering has nothing left in the end."""
    made = Sender(**settings)
    yield made
    until(lambda: len(made.gathering._batches) == 0)
    assert made.gathering.waiting == 0
