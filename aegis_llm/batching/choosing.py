"""Which of the waiting requests of one line is sent next, by tenant, prefix and length.

k-LPM (arXiv 2502.04677): a run of requests with the longest common prefix, then the oldest one.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import Protocol

from aegis_llm.batching.fair import OUTPUT_WEIGHT, Shares
from aegis_llm.batching.forecast import Forecast
from aegis_llm.batching.jobs import Job
from aegis_llm.batching.limit import Limit
from aegis_llm.batching.line import Line
from aegis_llm.batching.prefix import CHARS_A_TOKEN, PLACES, chars
from aegis_llm.batching.warm import SIMILAR, Slots

_LOOKED_AT = 64
_COMPARED = 8
_AHEAD = 2.0


class Model(Protocol):
    """What is known of the model of a line; `run` counts the warm ones sent in a row."""

    limit: Limit
    slots: Slots
    forecast: Forecast
    run: int


def choose(line: Line, model: Model, shares: Shares, prefix_run: int, now: float) -> Job | None:
    """Return the request to send; None: all had better wait for a prefix that is being read."""
    pressing = line.most_pressing()
    if pressing is not None:
        return pressing
    slots = model.limit.slots
    if model.run >= prefix_run * (slots or 1):
        model.run = 0
        return line.oldest()
    job = _warm(line, model)
    warm = job is not None
    if job is None:
        job = _cold(line, model, now)
    if job is None:
        return None
    if line.tenants > 1:
        poorest = line.of_poorest(shares)
        if poorest.tenant != job.tenant and not (warm and _near(job, poorest, shares)):
            job, warm = poorest, False
    model.run = model.run + 1 if warm else 0
    return job


def _near(job: Job, poorest: Job, shares: Shares) -> bool:
    """Return whether the tenant of a request is not far ahead of the poorest one."""
    quantum = _AHEAD * (job.prefix.tokens + OUTPUT_WEIGHT * job.expected)
    return shares.of(job.tenant) - shares.of(poorest.tenant) <= quantum


def _warm(line: Line, model: Model) -> Job | None:
    """Return the oldest of those that find most of their prompt in an idle slot."""
    best, most = None, 0
    for prefix in model.slots.idle():
        found = line.alike(prefix, most + 1)
        if found is not None and chars(found[1]) > SIMILAR * found[0].prefix.size:
            best, most = found
    return best


def _cold(line: Line, model: Model, now: float) -> Job | None:
    """Return the best of those whose prefix nobody is reading, else one that reads it as well."""
    ready: list[Job] = []
    seen: set[int] = set()
    reading: Job | None = None
    for job in islice(line, _LOOKED_AT):
        mark = _half(job)
        if mark is None:
            ready.append(job)
        elif model.slots.running(mark):
            reading = reading or job
            continue
        elif mark not in seen:
            seen.add(mark)
            ready.append(job)
        if len(ready) >= _COMPARED:
            break
    if ready:
        return min(ready, key=lambda job: _cost(job, model.forecast) - (now - job.arrived))
    if reading is None or _had_better_wait(reading, line, model):
        return None
    return reading


def _had_better_wait(job: Job, line: Line, model: Model) -> bool:
    """Return whether a group is done sooner one by one, on the slot that reads its prefix.

    Side by side each slot reads the whole prefix: `N * own < (P - 1) * prefix`.
    """
    slots = model.limit.slots
    if slots is None:
        return False
    depth = len(job.prefix.marks)
    while depth and not model.slots.running(job.prefix.marks[depth - 1]):
        depth -= 1
    if not depth:
        return False
    prefix = chars(depth) / CHARS_A_TOKEN
    own = job.prefix.tokens - prefix + job.expected * model.forecast.output_cost
    return line.count(job.prefix.marks[depth - 1]) * own < (slots - 1) * prefix


def _half(job: Job) -> int | None:
    """Return the mark of the first half of the prompt; None: it is too short to have one."""
    marks = job.prefix.marks
    place = bisect_left(PLACES, job.prefix.size / 2)
    return marks[min(place, len(marks) - 1)] if marks else None


def _cost(job: Job, forecast: Forecast) -> float:
    """Return about how many seconds the request takes alone."""
    return (job.prefix.tokens + job.expected * forecast.output_cost) / forecast.prefill_rate
