"""The Query Engine's hybrid policies by size of scope: time and recall, to choose between them."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any

from redisvl.query import VectorQuery
from redisvl.query.filter import Tag

from aegis_llm.stores.redis_commands import DISTANCE, Command
from benchmarks.common.measuring import Effort, percentile
from benchmarks.common.parts import Bench
from benchmarks.common.report import Table
from benchmarks.performance.corpus import DIMENSION, Asked, Corpus
from benchmarks.performance.result import Result

NEIGHBOURS = 4
SECONDS = 1.0  # for each cell of the table
MARK = "scopescopescope"


@dataclass(frozen=True)
class Policy:
    """One way to search: the policy, the size of a batch, the width of the graph's search."""

    name: str
    kind: str | None = None
    batch: int | None = None
    width: int | None = None

    def text(self) -> str:
        """Return the query with a mark for the scope."""
        query = VectorQuery(
            vector=b"\x00" * (4 * DIMENSION),
            vector_field_name="vector",
            filter_expression=Tag("scope") == MARK,
            num_results=NEIGHBOURS,
        )
        if self.kind is not None:
            query.set_hybrid_policy(self.kind)
        if self.batch is not None:
            query.set_batch_size(self.batch)
        if self.width is not None:
            query.set_ef_runtime(self.width)
        return str(query.query_string())

    def params(self, query: Asked) -> list[object]:
        """Return the parameters that the query names."""
        given: dict[str, object] = {"vector": query.vector}
        if self.width is not None:
            given["EF"] = self.width
        return [part for pair in given.items() for part in pair]


POLICIES = (
    Policy("default"),
    Policy("default, EF 64", width=64),
    Policy("BATCHES 10", "BATCHES", 10),
    Policy("BATCHES 10, EF 64", "BATCHES", 10, 64),
    Policy("BATCHES 100", "BATCHES", 100),
    Policy("ADHOC_BF", "ADHOC_BF"),
)


@dataclass
class Cell:
    """What was measured for one policy and one size."""

    times: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        middle, high = statistics.median(self.times), percentile(self.times, 95)
        return f"{middle:,.0f} ({high:,.0f}); {statistics.fmean(self.recall):.3f}"


def measure(bench: Bench, corpus: Corpus, effort: Effort) -> Result:
    """Time every policy, and the count of a scope, for every size of scope."""
    head = ["entries of the scope", *(policy.name for policy in POLICIES), "count"]
    table = Table(f"Hybrid policies, {corpus.size:,} entries: us p50 (p95); recall@4", head)
    table.note = (
        "Recall: share of the four nearest entries of the scope, found by looking at all of "
        "them, that the search returned. EF: width of the graph's search, 10 unless said. "
        "Count: the query for the number of entries of the scope, us p50. Policies take turns "
        "in blocks of ten."
    )
    client = bench.client(protocol=2)
    texts = {policy: policy.text() for policy in POLICIES}
    for size, asked in sorted(corpus.asked.items()):
        cells = {policy: Cell() for policy in POLICIES}
        counts: list[float] = []
        seconds = SECONDS * min(1.0, effort.repetitions / 5)
        for first in range(0, len(asked), 10):
            for policy, cell in cells.items():
                if sum(cell.times) > seconds * 1e6:
                    continue
                for one in asked[first : first + 10]:
                    command = _command(corpus, texts[policy], policy, one)
                    reply = _timed(client, command, cell.times)
                    cell.recall.append(_recall(reply, one))
            for one in asked[first : first + 10]:
                _timed(client, corpus.index.count(one.scope), counts)
        middle = f"{statistics.median(counts):,.0f}"
        table.rows.append((f"{size:,}", *map(str, cells.values()), middle))
    return Result(tables=[table])


def _command(corpus: Corpus, text: str, policy: Policy, one: Asked) -> Command:
    params = policy.params(one)
    return (
        "FT.SEARCH", corpus.index.name, text.replace(MARK, one.scope),
        "RETURN", 2, DISTANCE, "value", "SORTBY", DISTANCE, "ASC", "LIMIT", 0, NEIGHBOURS,
        "PARAMS", len(params), *params, "DIALECT", 2,
    )  # fmt: skip


def _timed(client: Any, command: Command, times: list[float]) -> list[object]:
    start = time.perf_counter()
    reply: list[object] = client.execute_command(*command)
    times.append((time.perf_counter() - start) * 1e6)
    return reply


def _recall(reply: list[object], one: Asked) -> float:
    return len(one.exact.intersection(reply[1::2])) / len(one.exact)
