"""The Query Engine's hybrid policies by size of scope: time and recall, to choose between them."""

from __future__ import annotations

import statistics
import time

import redis

from aegis_llm.stores.redis_commands import Command
from benchmarks.common.measuring import Effort, percentile
from benchmarks.common.parts import Bench
from benchmarks.common.report import Table
from benchmarks.performance.corpus import Asked, Corpus
from benchmarks.performance.result import Result

# The index picks the policy by the size it is told: unknown, surely big, surely small.
POLICIES: dict[str, int | None] = {"default": None, "BATCHES 10": 1 << 40, "ADHOC_BF": 0}
NEIGHBOURS = 4
SECONDS = 1.5  # for each cell of the table


def measure(bench: Bench, corpus: Corpus, effort: Effort) -> Result:
    """Time every policy, and the count of a scope, for every size of scope."""
    head = ["entries of the scope"]
    for name in POLICIES:
        head += [f"{name}, us p50 (p95)", f"{name}, recall@4"]
    table = Table(
        f"Hybrid policies, {corpus.size:,} entries, 4 nearest",
        [*head, "count of the scope, us p50"],
    )
    table.note = (
        "Recall: share of the four nearest entries of the scope, found by looking at all of "
        "them, that the search returned. Policies take turns in blocks of ten."
    )
    client = bench.client(protocol=2)
    for size, asked in sorted(corpus.asked.items()):
        times: dict[str, list[float]] = {name: [] for name in POLICIES}
        recall: dict[str, list[float]] = {name: [] for name in POLICIES}
        counts: list[float] = []
        seconds = SECONDS * min(1.0, effort.repetitions / 5)
        for first in range(0, len(asked), 10):
            for name, told in POLICIES.items():
                if sum(times[name]) > seconds * 1e6:
                    continue
                for one in asked[first : first + 10]:
                    command = corpus.index.search(one.scope, one.vector, NEIGHBOURS, told)
                    reply = _timed(client, command, times[name])
                    recall[name].append(_recall(reply, one))
            for one in asked[first : first + 10]:
                _timed(client, corpus.index.count(one.scope), counts)
        row: list[object] = [f"{size:,}"]
        for name in POLICIES:
            middle, high = statistics.median(times[name]), percentile(times[name], 95)
            row += [f"{middle:,.0f} ({high:,.0f})", f"{statistics.fmean(recall[name]):.3f}"]
        table.rows.append([*row, f"{statistics.median(counts):.0f}"])
    return Result(tables=[table])


def _timed(client: redis.Redis, command: Command, times: list[float]) -> list[object]:
    start = time.perf_counter()
    reply: list[object] = client.execute_command(*command)
    times.append((time.perf_counter() - start) * 1e6)
    return reply


def _recall(reply: list[object], one: Asked) -> float:
    return len(one.exact.intersection(reply[1::2])) / len(one.exact)
