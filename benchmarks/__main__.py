"""Run both comparisons and write their tables into docs/benchmarks.md: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

for name in ("performance", "correctness"):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--markdown", "docs/benchmarks.md"]
    subprocess.run(command, check=True)
