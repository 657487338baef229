"""Fair share between tenants: whoever got the fewest tokens goes next.

Virtual counters as in VTC (Sheng and others, OSDI 2024); a tenant that comes back after a pause
starts at the counter of the one served last, so that nobody saves up.
"""

from __future__ import annotations

from aegis_llm.batching.jobs import Job

OUTPUT_WEIGHT = 2.0
"""How much more a token of an answer counts than one of a prompt, as in the paper."""
_KEPT = 256


class Shares:
    """Tokens by tenant, on one server."""

    def __init__(self) -> None:
        self._counters: dict[str, float] = {}
        self._jobs: dict[str, int] = {}
        self._now = 0.0

    def of(self, tenant: str) -> float:
        """Return the counter of a tenant."""
        return self._counters.get(tenant, self._now)

    def joined(self, job: Job) -> None:
        """Note that a tenant has one more request."""
        tenant = job.tenant
        if not self._jobs.get(tenant):
            self._counters[tenant] = max(self._now, self._counters.get(tenant, 0.0))
        self._jobs[tenant] = self._jobs.get(tenant, 0) + 1

    def sent(self, job: Job) -> None:
        """Charge the prompt of a request that is sent."""
        counter = self._counters[job.tenant]
        self._now = max(self._now, counter)
        self._counters[job.tenant] = counter + job.prefix.tokens + 1

    def left(self, job: Job, output_tokens: float = 0.0) -> None:
        """Note that a request is over; charge its answer."""
        tenant = job.tenant
        self._counters[tenant] += OUTPUT_WEIGHT * output_tokens
        self._jobs[tenant] -= 1
        if not self._jobs[tenant]:
            del self._jobs[tenant]
            if len(self._counters) > _KEPT + 2 * len(self._jobs):
                self._forget()

    def _forget(self) -> None:
        """Drop half of the counters of tenants that have no requests, the lowest first.

        They start from the present one when they come back: what they got before is forgiven.
        """
        idle = [tenant for tenant in self._counters if tenant not in self._jobs]
        for tenant in sorted(idle, key=self._counters.__getitem__)[: len(idle) // 2]:
            del self._counters[tenant]
