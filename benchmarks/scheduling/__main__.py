"""Print the table of the scheduler: `python -m benchmarks.scheduling`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from benchmarks.common.report import Table, write
from benchmarks.scheduling import real
from benchmarks.scheduling.rows import ROWS

HEAD = ("what", "measured", "reach", "met")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduling")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--repeat", type=int, default=5, help="times that each is measured")
    parser.add_argument("--markdown", type=Path, help="document to put the table into")
    parser.add_argument("--ollama", help="URL of a real Ollama to measure instead")
    parser.add_argument("--models", nargs=2, help="two of its chat models")
    parser.add_argument("--slots", type=int, default=1, help="its OLLAMA_NUM_PARALLEL")
    parser.add_argument("--log", type=Path, help="its log, to count the loads")
    options = parser.parse_args()
    logging.getLogger("aegis_llm").setLevel(logging.ERROR)
    table = Table("Scheduling, on the simulated server", HEAD)
    if options.ollama:
        table.title = f"Scheduling, on a real Ollama with OLLAMA_NUM_PARALLEL={options.slots}"
        server = real.Real(options.ollama, options.models, options.slots, options.log)
        table.rows += real.rows(server, options.repeat)
    for name in () if options.ollama else options.only:
        begun = time.perf_counter()
        table.rows += ROWS[name](options.repeat)
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    load = os.getloadavg()[0]
    table.note = f"{os.cpu_count()} cores, load average at the end {load:.1f}; medians of "
    table.note += f"{options.repeat} runs."
    print(table.markdown())
    if options.markdown:
        mark = f"ollama {options.slots}" if options.ollama else "scheduling"
        write(options.markdown, mark, table.markdown())


main()
