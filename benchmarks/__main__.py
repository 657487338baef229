"""Run all comparisons and write their tables into the pages: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys

PAGES = {
    "performance": "docs/benchmarks.md",
    "correctness": "docs/benchmarks.md",
    "scheduling": "docs/scheduling.md",
}

for name, page in PAGES.items():
    command = [sys.executable, "-m", f"benchmarks.{name}", "--markdown", page]
    subprocess.run(command, check=True)
