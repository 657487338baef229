"""Counts of measured values by bucket: what Prometheus calls a histogram. Pure."""

from __future__ import annotations

from itertools import accumulate

import msgspec

LOOKUP_S = (
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
"""Bounds for look-ups, seconds: from a local hit to one that waited for an identical request."""
WAIT_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds for waits in the queue, seconds."""


class Histogram(msgspec.Struct, frozen=True):
    """How many values lie in each bucket.

    `bounds` are the upper ends (each belongs to its bucket), in order; `counts` has one more: what
    is above the last. `total` is the sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float = 0.0

    @property
    def count(self) -> int:
        """All values."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The arithmetic mean; 0 without values."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float | None:
        """Return the value below which a share (0 to 1) of all lies; None without values.

        Linear within its bucket, as Prometheus does it; the last bound stands for all above it.
        """
        count = self.count
        if not count:
            return None
        rank, below = share * count, 0
        for bound, lower, inside in zip(
            self.bounds, (0.0, *self.bounds), self.counts, strict=False
        ):
            if inside and below + inside >= rank:
                return lower + (bound - lower) * max(0.0, rank - below) / inside
            below += inside
        return self.bounds[-1]

    def cumulative(self) -> list[tuple[str, int]]:
        """Return upper bounds as text, "+Inf" the last, with how many values are not above."""
        ends = [*map(repr, self.bounds), "+Inf"]
        return list(zip(ends, accumulate(self.counts), strict=True))
