"""Which model calls of users are in flight in this process, so that the background gives way."""

from __future__ import annotations

import threading
from itertools import count
from typing import Self

from aegis_llm.scheduler.forks import renew_in_child

_LOOK_S = 0.5


class Traffic:
    """The model calls under way, of every cache of the process."""

    def __init__(self) -> None:
        self._ids = count()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget the calls of the parent: none of them goes on in a forked child."""
        self._flying: set[int] = set()
        self._free = threading.Event()
        self._free.set()

    @property
    def quiet(self) -> bool:
        """Whether nothing is in flight."""
        return not self._flying

    def begin(self) -> Call:
        """Note that a call begins; it is over when `end` is called, or nobody holds it."""
        call = Call(self, next(self._ids))
        self._flying.add(call.number)
        self._free.clear()
        return call

    def end(self, number: int) -> None:
        """Note that a call is over; again does nothing."""
        self._flying.discard(number)
        if not self._flying:
            self._free.set()

    def wait_quiet(self, pause_s: float) -> None:
        """Return when nothing is in flight, nor was `pause_s` ago."""
        while True:
            while self._flying:
                self._free.wait(_LOOK_S)
            threading.Event().wait(pause_s)
            if not self._flying:
                return


class Call:
    """One call in flight."""

    __slots__ = ("_traffic", "number")

    def __init__(self, traffic: Traffic, number: int) -> None:
        self._traffic = traffic
        self.number = number

    def end(self) -> None:
        """Note that it is over."""
        self._traffic.end(self.number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __del__(self) -> None:
        self.end()


TRAFFIC = Traffic()
