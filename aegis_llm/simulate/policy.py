"""Who is sent when, and to which server."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from aegis_llm.batching.jobs import Reply
from aegis_llm.simulate.jobs import Job


class Policy(Protocol):
    """Decides between the callers and the servers; all times are arguments."""

    def submit(self, job: Job, now: float) -> None:
        """Take a request."""
        ...

    def next(self, now: float) -> tuple[Job, int] | None:
        """Return a request to send now with the number of its server, or None."""
        ...

    def done(self, job: Job, server: int, now: float, reply: Reply | None) -> None:
        """Hear that a request that was sent has its answer; None: it was refused."""
        ...

    def wake_at(self) -> float:
        """Return when `next` may have one without anything happening before; else infinity."""
        ...


class SendAtOnce:
    """Every request is sent as it comes, to the server with the fewest; that one queues it.

    This is what happens without a scheduler.
    """

    def __init__(self, servers: int) -> None:
        self._new: deque[Job] = deque()
        self._sent = [0] * servers

    def submit(self, job: Job, now: float) -> None:
        """Take a request."""
        self._new.append(job)

    def next(self, now: float) -> tuple[Job, int] | None:
        """Return the next request, with the server that has the fewest."""
        if not self._new:
            return None
        server = self._sent.index(min(self._sent))
        self._sent[server] += 1
        return self._new.popleft(), server

    def done(self, job: Job, server: int, now: float, reply: Reply | None) -> None:
        """Hear that a request has its answer."""
        self._sent[server] -= 1

    def wake_at(self) -> float:
        """Nothing ever waits here."""
        return float("inf")
