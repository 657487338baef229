"""What a simulation counts: memory stays the same however long it runs."""

from __future__ import annotations

from math import exp, log

import msgspec

_STEP = 1.002
_SCALE = 1 / log(_STEP)
_SMALLEST = 1e-6


class Spread:
    """A distribution of seconds; what it says is right to 0.1 % of the value."""

    __slots__ = ("_counts", "_zeros", "count", "largest", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.largest = 0.0
        self._zeros = 0
        self._counts: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one value."""
        self.count += 1
        self.total += seconds
        self.largest = max(self.largest, seconds)
        if seconds <= _SMALLEST:
            self._zeros += 1
            return
        bucket = round(log(seconds) * _SCALE)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def at(self, share: float) -> float:
        """Return the value that `share` (0 to 1) of them do not exceed; 0 of nothing."""
        wanted = share * self.count
        seen = self._zeros
        if seen >= wanted:
            return 0.0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                return min(exp(bucket / _SCALE), self.largest)
        return self.largest


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds."""

    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, spread: Spread) -> Percentiles:
        """Return those of a distribution."""
        return cls(spread.mean, spread.at(0.5), spread.at(0.95), spread.at(0.99))


class Outcome(msgspec.Struct, frozen=True):
    """What a simulation found; times are those of the requests that a server answered.

    Attributes:
        requests: Requests that were answered, by the cache or a server.
        hits: Those that the cache of this package answered.
        refused: Requests that a server refused (503) because too many waited for loading.
        seconds: Simulated time from the first arrival to the last answer.
        requests_per_s: Answered requests a second, hits included.
        tokens_per_s: Tokens a second that the servers wrote.
        ttft: From arrival to the first token.
        latency: From arrival to the last token.
        wait: From arrival to a slot.
        longest_queue: Most requests that waited for a slot at once.
        slot_use: Share of all slots' time in which they were busy.
        prefill_tokens: Prompt tokens that were read.
        prefill_saved: Share of the prompt tokens that needed no reading.
        loads: How often a model was loaded.
        tenants: p95 of the latency of each tenant, where requests name any.
    """

    requests: int
    hits: int
    refused: int
    seconds: float
    requests_per_s: float
    tokens_per_s: float
    ttft: Percentiles
    latency: Percentiles
    wait: Percentiles
    longest_queue: int
    slot_use: float
    prefill_tokens: int
    prefill_saved: float
    loads: int
    tenants: dict[str, float]
