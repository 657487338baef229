"""Print the correctness tables: `python -m benchmarks.correctness`."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import time
from pathlib import Path

from benchmarks.common.machine import describe
from benchmarks.common.parts import bench
from benchmarks.common.report import Table, write
from benchmarks.correctness import rag_dev
from benchmarks.correctness.systems import systems

PARTS = ("answers", "identity", "streams", "trouble")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.correctness")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--rag-dev", type=Path, help="gzipped JSON lines with real questions")
    parser.add_argument("--markdown", type=Path, help="document to put the tables into")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # the log lines about trouble are expected
    tables: list[Table] = []
    with bench() as made:
        with made.client() as client:
            about = describe(client)
        for name in options.only:
            started = time.perf_counter()
            part = importlib.import_module(f"benchmarks.correctness.{name}")
            tables += part.measure(made, systems())
            made.clear()
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        if options.rag_dev:
            tables += rag_dev.measure(made, systems(), options.rag_dev)
    facts = "".join(f"- {fact}.\n" for fact in about)
    text = "\n".join([facts, *(table.markdown() for table in tables)])
    print(text)
    if options.markdown:
        write(options.markdown, "correctness", text)


main()
