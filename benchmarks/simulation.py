"""100,000 simulated requests: how long it takes, and whether memory stays flat.

`python -m benchmarks.simulation`; ends with exit status 1 where memory grows with the requests.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from aegis_llm.config import SchedulerConfig
from aegis_llm.simulate import Load, Policy, Scheduled, Setup, machine, simulate

FEW, MANY, GROWTH = 5_000, 50_000, 500_000
SETUP = Setup(speed=machine("dgx-spark").speed(2135), parallel=8)
PLAIN = {"rate": 0.6, "prompt_tokens": 2035, "prefix_tokens": 2000, "contexts": 8}
CASES: dict[str, tuple[dict[str, float], bool]] = {
    "8 contexts, no scheduler": (PLAIN, False),
    "no shared prefix, no scheduler": ({"rate": 0.5}, False),
    "8 contexts, scheduler": (PLAIN, True),
    "32 callers always waiting, scheduler": (
        {"concurrent": 32, **{k: v for k, v in PLAIN.items() if k != "rate"}},
        True,
    ),
}


def main() -> int:
    """Measure each case; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    table = Table(title=f"{requests:,} simulated requests")
    for column in ("case", "seconds", "us a request", "simulated days", "peak KB of 5,000",
                   "peak KB of 50,000"):  # fmt: skip
        table.add_column(column, justify="left" if column == "case" else "right")
    grown = False
    for name, (given, scheduler) in CASES.items():
        play = _player(given, scheduler)
        began = time.perf_counter()
        days = play(requests) / 86_400
        took = time.perf_counter() - began
        few, many = _peak(play, FEW), _peak(play, MANY)
        grown = grown or many > few + GROWTH
        table.add_row(name, f"{took:.1f}", f"{took / requests * 1e6:.0f}", f"{days:.1f}",
                      f"{few / 1000:,.0f}", f"{many / 1000:,.0f}")  # fmt: skip
    Console().print(table)
    if grown:
        Console().print("Memory grows with the number of requests.", style="red")
    return int(grown)


def _player(given: dict[str, float], scheduler: bool) -> Callable[[int], float]:
    def play(requests: int) -> float:
        load = Load(requests=requests, **given)  # type: ignore[arg-type]
        policy: Policy | None = None
        if scheduler:
            policy = Scheduled(SETUP.servers, SchedulerConfig(num_parallel=SETUP.parallel))
        return simulate(SETUP, load.source(), policy).seconds

    return play


def _peak(play: Callable[[int], float], requests: int) -> int:
    tracemalloc.start()
    try:
        play(requests)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    sys.exit(main())
