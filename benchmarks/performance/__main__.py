"""Print the performance table: `python -m benchmarks.performance`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from benchmarks.common.machine import describe
from benchmarks.common.measuring import Effort
from benchmarks.common.parts import bench
from benchmarks.common.report import Table, write
from benchmarks.performance.result import Result

PARTS = ("exact", "invoke", "concurrency", "writes", "flights", "memory", "semantic")
HEAD = ("what", "ours", "floor", "ratio (spread over repetitions)", "reach", "met")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.performance")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that it runs")
    parser.add_argument("--markdown", type=Path, help="document to put the tables into")
    options = parser.parse_args()
    effort = Effort(2, 2, 25) if options.quick else Effort()
    result = Result()
    with bench() as made:
        with made.client() as client:
            about = describe(client)
        for name in options.only:
            started = time.perf_counter()
            part = importlib.import_module(f"benchmarks.performance.{name}")
            result.add(part.measure(made, effort))
            made.clear()
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    summary = Table("Summary", HEAD, [line.cells() for line in result.lines])
    facts = "".join(f"- {fact}.\n" for fact in about)
    text = "\n".join([facts, summary.markdown(), *(t.markdown() for t in result.tables)])
    print(text)
    if options.markdown:
        write(options.markdown, "performance", text)


main()
