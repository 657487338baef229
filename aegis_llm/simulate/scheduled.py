"""The queue of this package between the callers and the simulated servers."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from aegis_llm.batching.jobs import Job as Ticket
from aegis_llm.batching.jobs import Reply
from aegis_llm.batching.placing import Load, Placing
from aegis_llm.batching.prefix import CHARS_A_TOKEN, PLACES, Prefix
from aegis_llm.batching.queue import Queue
from aegis_llm.config import SchedulerConfig
from aegis_llm.simulate.jobs import Job

_NEVER = float("inf")


@dataclass(slots=True, eq=False)
class _Ticket(Ticket):
    job: Job | None = None


class Scheduled:
    """One queue of the scheduler in front of each server.

    A request goes to the server that has read its prefix before, unless that one is much busier,
    else to the one with the fewest for its slots, and waits in the queue of that server.

    Args:
        servers: Number of servers.
        config: How the queues decide.
    """

    def __init__(self, servers: int, config: SchedulerConfig) -> None:
        self._queues = [Queue(config, f"server {number}") for number in range(servers)]
        self._placing = Placing(servers)
        self._slots = config.num_parallel or 1
        self._flying: dict[int, _Ticket] = {}
        self._own_marks = count(1)

    def submit(self, job: Job, now: float) -> None:
        """Take a request."""
        ticket = _Ticket(job.model, now, self._prefix(job), tenant=job.tenant, job=job)
        server = 0
        if len(self._queues) > 1:
            loads = [Load(queue.waiting + queue.flying, self._slots) for queue in self._queues]
            server = self._placing.choose(ticket, loads)
        self._queues[server].submit(ticket, now)

    def next(self, now: float) -> tuple[Job, int] | None:
        """Return what the queue of a server sends now."""
        for server, queue in enumerate(self._queues):
            ticket = queue.next(now)
            if isinstance(ticket, _Ticket) and ticket.job is not None:
                self._flying[id(ticket.job)] = ticket
                return ticket.job, server
        return None

    def done(self, job: Job, server: int, now: float, reply: Reply | None) -> None:
        """Tell the queue of the server."""
        self._queues[server].done(self._flying.pop(id(job)), now, reply)

    def wake_at(self) -> float:
        """Return when the window of a queue ends."""
        ends = (queue.due_at() for queue in self._queues)
        return min((at for at in ends if at is not None), default=_NEVER)

    def _prefix(self, job: Job) -> Prefix:
        """Return the prompt as the scheduler would see it if there were a text."""
        size = int(job.prompt_tokens * CHARS_A_TOKEN)
        marks = bisect_right(PLACES, size)
        shared = bisect_right(PLACES, job.prefix_tokens * CHARS_A_TOKEN) if job.prefix else 0
        # Not hash(): that of a text differs from process to process.
        name = blake2b(job.prefix.encode("utf-8", "surrogatepass"), digest_size=6).digest()
        first = int.from_bytes(name) << 16
        own = -(next(self._own_marks) << 16)
        common = range(first, first + shared)
        return Prefix((*common, *range(own, own + marks - shared)), size)
