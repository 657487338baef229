"""What one cached answer of 1 KB takes in Redis, in one tier and in both."""

from __future__ import annotations

import time
from typing import Any

from aegis_llm.config import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.wiring import build
from benchmarks.common.measuring import Effort
from benchmarks.common.parts import Bench, KnownModels, request
from benchmarks.common.report import Table
from benchmarks.performance.result import Line, Result
from benchmarks.performance.writes import STORED, Vectors


def measure(bench: Bench, effort: Effort) -> Result:
    """Store many answers through the core and look at the memory that Redis says it uses."""
    entries = 10_000 if effort.repetitions > 2 else 1_000
    table = Table(
        "Memory of one answer of 1 KB",
        ("", "bytes for each entry"),
        note=(
            f"`used_memory` of INFO over {entries:,} entries, keys and index included; questions "
            "of 30 characters, no tags. The index grows in steps."
        ),
    )
    result = Result(tables=[table])
    with bench.client() as client:
        for name, vectors in (("exact tier alone", None), ("both tiers, 384 floats", Vectors())):
            namespace = f"{bench.namespace}m{'s' if vectors else 'x'}"
            config = bench.config(namespace=namespace)
            before = _used(client)
            _fill(config, vectors, entries)
            each = (_used(client) - before) / entries
            table.rows.append((name, f"{each:,.0f}"))
            result.lines.append(
                Line(
                    f"memory of a cached answer of 1 KB, {name}",
                    f"{each:,.0f} bytes",
                    "1,000 bytes of text",
                    "",
                    "measured",
                    None,
                )
            )
        for name in client.execute_command("FT._LIST"):
            told = client.ft(name.decode()).info()
            share = float(told["vector_index_sz_mb"]) * 2**20 / entries
            table.rows.append(("of that, the vector index as FT.INFO tells", f"{share:,.0f}"))
    return result


def _fill(config: AegisConfig, vectors: Vectors | None, entries: int) -> None:
    service = build(config, vectors)
    service.digests.register(KnownModels())
    for number in range(entries):
        # The first search makes the index; later ones would only take time.
        with cache_control(refresh=number > 0):
            lookup = service.open(request(question=f"What does part {number} do?"))
            lookup.store(STORED)
            assert lookup.origin.reason in ("refresh", "no_entry", "no_candidate")


def _used(client: Any) -> int:
    time.sleep(0.5)  # let the server finish what it does after the reply
    return int(client.info("memory")["used_memory"])
