"""How urgent the requests of a block are, carried by context variables as `cache_control` is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import msgspec

from aegis_llm.errors import ConfigError
from aegis_llm.metrics.registry import METRICS

_PRIORITIES = 100
_YEAR_S = 365 * 86_400


class Terms(msgspec.Struct, frozen=True):
    """What `scheduling` asks for; `deadline` is by the monotonic clock."""

    priority: int = 0
    deadline: float | None = None
    insist: bool = False


_USUAL = Terms()
_terms: ContextVar[Terms] = ContextVar("aegis_scheduling", default=_USUAL)


@contextmanager
def scheduling(
    *,
    priority: int | None = None,
    deadline_s: float | None = None,
    insist: bool | None = None,
) -> Iterator[Terms]:
    """Say how urgent the model calls inside the block are.

    What is not given is inherited from an enclosing block. Answers from the cache never wait.

    Args:
        priority: The higher goes first where requests wait (-100 to 100; 0 for all others).
            The lower are not left waiting for ever.
        deadline_s: Seconds from now on after which an answer is of no use. Requests with a
            deadline go before those of the same priority without one; one that is not sent by
            then raises `QueueTimeoutError`. A call under way is not ended.
        insist: Keep the runner options of the calls (`num_ctx` and the like), even if they make
            the server load the model anew.

    Raises:
        ConfigError: A value is not usable; the message says what to give.
    """
    outer = _terms.get()
    changes = _checked({"priority": priority, "deadline_s": deadline_s, "insist": insist})
    if (seconds := changes.pop("deadline_s", None)) is not None:
        deadline = time.monotonic() + seconds
        changes["deadline"] = min(deadline, outer.deadline or deadline)
    token = _terms.set(msgspec.structs.replace(outer, **changes))
    try:
        yield _terms.get()
    finally:
        _terms.reset(token)


class Trip:
    """What became of one model call on its way: where it was sent, and how long it waited here."""

    __slots__ = ("queued_s", "server")

    def __init__(self) -> None:
        self.server = ""
        self.queued_s = 0.0


_trip: ContextVar[Trip | None] = ContextVar("aegis_trip", default=None)


@contextmanager
def followed(trip: Trip) -> Iterator[None]:
    """Have the model call that is made inside the block noted in `trip`."""
    token = _trip.set(trip)
    try:
        yield
    finally:
        _trip.reset(token)


def note_trip(server: str, queued_s: float) -> None:
    """Note where a call was sent and how long it waited, for whoever follows it."""
    METRICS.waited(queued_s)
    trip = _trip.get()
    if trip is not None:
        trip.server = server
        trip.queued_s += queued_s


def current_terms() -> Terms:
    """Return what the enclosing `scheduling` blocks ask for."""
    return _terms.get()


def restore_terms(terms: Terms) -> Any:
    """Make terms hold until `reset_terms` is called with what this returns."""
    return _terms.set(terms)


def reset_terms(token: Any) -> None:
    """End what `restore_terms` began."""
    _terms.reset(token)


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    for name, (usable, meaning) in _CHECKS.items():
        value = given[name]
        if value is not None and not usable(value):
            msg = f"scheduling({name}={value!r}): give {meaning}"
            raise ConfigError(msg)
    return {name: value for name, value in given.items() if value is not None}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "priority": (
        lambda v: _number(v) and isinstance(v, int) and abs(v) <= _PRIORITIES,
        f"a whole number from -{_PRIORITIES} to {_PRIORITIES}",
    ),
    "deadline_s": (
        lambda v: _number(v) and 0 < v <= _YEAR_S,
        "seconds from now, more than 0",
    ),
    "insist": (lambda v: isinstance(v, bool), "True or False"),
}
