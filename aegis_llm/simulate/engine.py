"""The events: the next arrival or the next thing due in a server, whichever comes first."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from aegis_llm.simulate.jobs import Job, Source
from aegis_llm.simulate.policy import Policy, SendAtOnce
from aegis_llm.simulate.runner import Visit
from aegis_llm.simulate.server import Server
from aegis_llm.simulate.setup import Setup
from aegis_llm.simulate.tally import Outcome, Percentiles, Spread

_NEVER = float("inf")


def simulate(setup: Setup, source: Source, policy: Policy | None = None) -> Outcome:
    """Play all requests of a source; return what was seen.

    Args:
        setup: The servers.
        source: The requests; it is used up.
        policy: Who is sent when; None: everybody at once, and the servers queue.
    """
    return _Simulation(setup, source, policy or SendAtOnce(setup.servers)).run()


class _Simulation:
    def __init__(self, setup: Setup, source: Source, policy: Policy) -> None:
        speed = setup.speed
        rates = [0.0, *(speed.per_slot(busy) for busy in range(1, setup.parallel + 1))]
        self.setup = setup
        self.source = source
        self.policy = policy
        self.servers = [Server(n, setup, rates, self) for n in range(setup.servers)]
        # Time, a number that keeps the order of equals, whom to wake, and its version then.
        self.events: list[tuple[float, int, Any, int]] = []
        self.number = 0
        self.version = 0
        self.alarm_at = _NEVER
        self.news = False  # something happened that the policy has not been asked about
        self.ttft, self.latency, self.wait = Spread(), Spread(), Spread()
        self.tenants: dict[str, Spread] = {}
        self.models: set[str] = set()
        self.hits = self.refusals = self.written = self.asked = self.read = 0
        self.waiting = self.longest = 0
        self.busy_s = self.begun = self.last = 0.0

    def run(self) -> Outcome:
        """Play until nothing is left to come."""
        source, events = self.source, self.events
        self.begun = source.next_at if source.next_at < _NEVER else 0.0
        while True:
            now = source.next_at
            if events and events[0][0] < now:
                now, _, what, version = heappop(events)
                if what.version == version:
                    what.fire(now)
                    if self.news:
                        self._dispatch(now)
            elif now < _NEVER:
                self._arrive(source.pop(), now)
            elif self.waiting:
                msg = f"{self.waiting} requests were never sent"
                raise RuntimeError(msg)
            else:
                return self._outcome()

    def fire(self, now: float) -> None:  # the policy asked to be woken
        self.news = True

    def wake(self, what: Any, at: float) -> None:
        """Call `what.fire(at)` at that time, unless it is woken for another one before."""
        what.version += 1
        self.number += 1
        heappush(self.events, (at, self.number, what, what.version))

    def started(self, visit: Visit) -> None:
        """A request has a slot."""
        job = visit.job
        self.waiting -= 1
        self.wait.add(visit.started_at - job.at)
        self.asked += job.prompt_tokens
        self.read += visit.to_read

    def ended(self, server: int, visit: Visit, now: float) -> None:
        """A request has its whole answer."""
        job = visit.job
        self.busy_s += now - visit.started_at
        self.written += job.output_tokens
        self.ttft.add(visit.first_at - job.at)
        self.latency.add(now - job.at)
        if job.tenant:
            self.tenants.setdefault(job.tenant, Spread()).add(now - job.at)
        self.last = now
        self.news = True
        self.policy.done(job, server, now, visit.reply(now))
        self.source.finished(now)

    def refused(self, server: int, visit: Visit, now: float) -> None:
        """A server refused a request."""
        self.waiting -= 1
        self.refusals += 1
        self.news = True
        self.policy.done(visit.job, server, now, None)
        self.source.finished(now)

    def _arrive(self, job: Job, now: float) -> None:
        if job.hit:
            self.hits += 1
            self.last = max(self.last, now + self.setup.hit_s)
            self.source.finished(now + self.setup.hit_s)
            return
        self.waiting += 1
        self.models.add(job.model)
        self.policy.submit(job, now)
        self._dispatch(now)
        # Who finds a free slot is not counted: it has left the queue before this.
        self.longest = max(self.longest, self.waiting)

    def _dispatch(self, now: float) -> None:
        policy = self.policy
        self.news = False
        while (sent := policy.next(now)) is not None:
            job, server = sent
            self.servers[server].arrive(job, now)
        wake_at = policy.wake_at()
        if wake_at != self.alarm_at:
            self.alarm_at = wake_at
            if wake_at < _NEVER:
                self.wake(self, max(wake_at, now))

    def _outcome(self) -> Outcome:
        seconds = max(self.last - self.begun, 0.0)
        answered = self.latency.count + self.hits
        slots = self.setup.parallel * self.setup.servers * max(len(self.models), 1)
        per_s = 1 / seconds if seconds else 0.0
        return Outcome(
            requests=answered,
            hits=self.hits,
            refused=self.refusals,
            seconds=seconds,
            requests_per_s=answered * per_s,
            tokens_per_s=self.written * per_s,
            ttft=Percentiles.of(self.ttft),
            latency=Percentiles.of(self.latency),
            wait=Percentiles.of(self.wait),
            longest_queue=self.longest,
            slot_use=self.busy_s * per_s / slots,
            prefill_tokens=self.read,
            prefill_saved=1 - self.read / self.asked if self.asked else 0.0,
            loads=sum(server.loads for server in self.servers),
            tenants={name: spread.at(0.95) for name, spread in sorted(self.tenants.items())},
        )
