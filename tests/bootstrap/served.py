"""A simulated Ollama as a process with an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Served:
    """A running server: its address, its process and what it has logged."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


@contextmanager
def served(
    folder: Path, environment: Mapping[str, str] | None = None, *arguments: str
) -> Iterator[Served]:
    """Serve on a free port until the block ends; the environment holds only what is given."""
    log = folder / "server.log"
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    kept.setdefault("PYTHONPATH", os.pathsep.join(sys.path))
    command = [sys.executable, "-m", "aegis_llm.testing.serving", "--log", str(log), *arguments]
    process = subprocess.Popen(
        command,
        env={**kept, "OLLAMA_HOST": "127.0.0.1:0", **(environment or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if found := re.search(r"Listening on (127\.0\.0\.1:\d+)", line):
                yield Served(f"http://{found[1]}", process, log)
                break
        else:
            raise AssertionError(said)
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
