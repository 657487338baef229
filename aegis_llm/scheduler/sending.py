"""How a request gets to a server: a place, a slot, the call, and another try where that helps.

A plan, as those of the cache are: it yields what is to be done, and two drivers do it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator
from dataclasses import replace
from typing import Any, NamedTuple

import httpx

from aegis_llm.batching.jobs import Job
from aegis_llm.scheduler.dispatch import Hold
from aegis_llm.scheduler.fleet import Fleet

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_BUSY = (502, 503)
_ENDED = "process no longer running"
_LOST = (
    ConnectionError, httpx.ConnectTimeout, httpx.NetworkError, httpx.RemoteProtocolError,
    httpx.ProxyError,
)  # fmt: skip
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout)
_WHERE = "No Ollama can be reached at {}: start it (ollama serve), or give its address (base_url)."


class Enter(NamedTuple):
    """Wait for a slot of a server -> Hold."""

    place: int
    job: Job


class Call(NamedTuple):
    """Call the server -> its answer, or the stream once its first part is there."""

    place: int


class Pause(NamedTuple):
    """Wait before the next try -> None."""

    seconds: float


class Sent(NamedTuple):
    """A call that succeeded; its slot is held until `hold.end`."""

    hold: Hold
    answer: Any


def send_plan(
    fleet: Fleet, job: Job, retries: int, random: Callable[[], float]
) -> Generator[Any, Any, Sent]:
    """Send a request; raise what the last try raised.

    Where it may be sent again at all, every server is tried.
    """
    tries = 1 + (max(retries, len(fleet.links) - 1) if retries else 0)
    tried: set[int] = set()
    for attempt in range(tries):
        last = attempt + 1 == tries
        place, hold = yield from _entered(fleet, job, tried, again=attempt > 0)
        try:
            answer = yield Call(place)
        except Exception as exc:
            hold.end()
            lost = is_lost(exc)
            if lost:
                fleet.lost(place)
            if last or not (lost or is_busy(exc)):
                if isinstance(exc, _UNREACHED):
                    exc.add_note(_WHERE.format(fleet.links[place].name))
                raise
            tried.add(place)
            pause = 0.0 if fleet.has_others(job.model, tried) else pause_after(attempt, random())
            if job.deadline is not None and time.monotonic() + pause >= job.deadline:
                raise
        except BaseException:
            hold.end()
            raise
        else:
            hold.job.answered = True
            fleet.worked(place)
            return Sent(hold, answer)
        if pause:
            tried.clear()
            yield Pause(pause)
    raise AssertionError  # the last attempt returns or raises


def _entered(
    fleet: Fleet, job: Job, tried: Collection[int], *, again: bool
) -> Generator[Any, Any, tuple[int, Hold]]:
    """Return a server and a slot of it; who waited for one that is gone goes to another."""
    while True:
        place = fleet.choose(job, tried)
        hold: Hold = yield Enter(place, replace(job) if again else job)
        if not (fleet.is_out(place) and fleet.has_others(job.model, {*tried, place})):
            return place, hold
        hold.end()
        again = True


def pause_after(attempt: int, random: float) -> float:
    """Return the seconds before another try: doubling, with full jitter from a half on."""
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempt)
    return longest * (0.5 + random / 2)


def is_lost(exc: Exception) -> bool:
    """Return whether the connection to the server was lost, or never came about.

    A time limit of the caller's client is none of it, nor a request that cannot be sent at all.
    """
    return isinstance(exc, _LOST)


def is_busy(exc: Exception) -> bool:
    """Return whether the server could not take the request on now, and may in a moment.

    It had no room, nothing stood behind its proxy, or the process that ran the model had ended:
    that takes along all that wait for it, and the next request starts it anew.
    """
    status = getattr(exc, "status_code", None)
    return status in _BUSY or (status is not None and _ENDED in str(exc))


def is_refused(exc: Exception) -> bool:
    """Return whether the server answered, and that it cannot do what the request asks."""
    status = getattr(exc, "status_code", None)
    return status is not None and status not in _BUSY
