"""The requests of one model and one priority that wait, found by age, prefix, deadline, tenant."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import TypeAlias

from aegis_llm.batching.fair import Shares
from aegis_llm.batching.jobs import Job
from aegis_llm.batching.prefix import Prefix

_Jobs: TypeAlias = "OrderedDict[int, Job]"


class Line:
    """Waiting requests; every question to it is answered without looking at all of them."""

    def __init__(self) -> None:
        self._jobs: _Jobs = OrderedDict()
        self._by_mark: dict[int, _Jobs] = {}
        self._by_tenant: dict[str, _Jobs] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._poorest: list[tuple[float, int, str]] = []
        self._ranked: set[str] = set()  # the tenants in `_poorest`

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def __contains__(self, job: Job) -> bool:
        return job.number in self._jobs

    @property
    def tenants(self) -> int:
        """How many tenants have requests here."""
        return len(self._by_tenant)

    def add(self, job: Job, shares: Shares) -> None:
        """Put a request at the end."""
        number = job.number
        self._jobs[number] = job
        for mark in job.prefix.marks:
            self._by_mark.setdefault(mark, OrderedDict())[number] = job
        if job.deadline is not None:
            heapq.heappush(self._deadlines, (job.deadline, number))
        tenant = job.tenant
        self._by_tenant.setdefault(tenant, OrderedDict())[number] = job
        if tenant not in self._ranked:
            self._ranked.add(tenant)
            heapq.heappush(self._poorest, (shares.of(tenant), number, tenant))

    def remove(self, job: Job) -> None:
        """Take a request out."""
        number = job.number
        del self._jobs[number]
        for mark in job.prefix.marks:
            alike = self._by_mark[mark]
            del alike[number]
            if not alike:
                del self._by_mark[mark]
        own = self._by_tenant[job.tenant]
        del own[number]
        if not own:
            del self._by_tenant[job.tenant]

    def oldest(self) -> Job:
        """Return the request that came first."""
        return next(iter(self._jobs.values()))

    def most_pressing(self) -> Job | None:
        """Return the request with the next deadline."""
        while self._deadlines:
            job = self._jobs.get(self._deadlines[0][1])
            if job is not None:
                return job
            heapq.heappop(self._deadlines)
        return None

    def alike(self, prefix: Prefix, least: int) -> tuple[Job, int] | None:
        """Return the oldest of those with the longest prefix in common, and its marks.

        `least` is the number of marks from which on it counts.
        """
        for depth in range(len(prefix.marks), least - 1, -1):
            alike = self._by_mark.get(prefix.marks[depth - 1])
            if alike is not None:
                return next(iter(alike.values())), depth
        return None

    def count(self, mark: int) -> int:
        """Return how many requests share the prefix that a mark stands for."""
        return len(self._by_mark.get(mark, ()))

    def oldest_like(self, mark: int) -> Job:
        """Return the oldest request with a prefix."""
        return next(iter(self._by_mark[mark].values()))

    def of_poorest(self, shares: Shares) -> Job:
        """Return the oldest request of the tenant that got the fewest tokens."""
        while True:
            counter, _, tenant = self._poorest[0]
            own = self._by_tenant.get(tenant)
            if own is None:
                heapq.heappop(self._poorest)
                self._ranked.discard(tenant)
                continue
            oldest = next(iter(own.values()))
            if counter == shares.of(tenant):
                return oldest
            heapq.heapreplace(self._poorest, (shares.of(tenant), oldest.number, tenant))
