"""What a trace of requests says of a workload."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush
from math import ceil
from pathlib import Path

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.errors import ConfigError
from aegis_llm.simulate.jobs import Job
from aegis_llm.simulate.trace import read_trace

_READS, _WRITES = 1000.0, 30.0
_UNNAMED = Job.__struct_defaults__[0]


def workload_of_trace(path: Path) -> Workload:
    """Return the workload that a trace shows; its lines are those of `aegis-llm simulate`.

    Prompts are their 95th percentile, answers the longest. A trace does not tell when an answer
    ended: requests count as at the same time when they would be at 1,000 prompt tokens and 30
    answer tokens a second, which `source` says.

    Raises:
        ConfigError: The file cannot be read, or a line is not usable.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror}; give a file of requests, one a line"
        raise ConfigError(msg) from None
    jobs = read_trace(lines, path.name)
    concurrent = _together(jobs)
    asked = Counter(job.model for job in jobs)
    names = tuple(name for name, _ in asked.most_common() if name != _UNNAMED)
    sharing = [job.prefix_tokens for job in jobs if job.prefix_tokens]
    return Workload(
        concurrent=concurrent,
        prompt_tokens=_p95([job.prompt_tokens for job in jobs]),
        output_tokens=max(job.output_tokens for job in jobs),
        models=names,
        prefix_tokens=min(_p95(sharing), _p95([job.prompt_tokens for job in jobs])),
        prefixes=max(1, len({job.prefix for job in jobs if job.prefix_tokens})),
        source=(
            f"{path.name}, {len(jobs):,} requests; {concurrent} at the same time (95th "
            f"percentile) if each is read at {_READS:,.0f} and written at {_WRITES:.0f} tokens/s"
        ),
    )


def _p95(numbers: Sequence[int]) -> int:
    ordered = sorted(numbers)
    return ordered[ceil(0.95 * len(ordered)) - 1] if ordered else 0


def _together(jobs: Sequence[Job]) -> int:
    """Return the 95th percentile of the requests under way when one more arrives, it included."""
    ends: list[float] = []
    seen = []
    for job in jobs:
        while ends and ends[0] <= job.at:
            heappop(ends)
        heappush(ends, job.at + job.prompt_tokens / _READS + job.output_tokens / _WRITES)
        seen.append(len(ends))
    return _p95(seen)
