"""Killed before any call that writes, a change is undone or finished by the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


MEMORY = Path("/dev/shm")  # many small files, and no disk to wait for


def test_a_change_that_is_killed_at_any_point_can_be_taken_back(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as folder:
        tried = points(folder)
    assert list(tried) == ["first apply", "second apply", "rolled back", "first revert",
                           "second revert"]  # fmt: skip
    assert min(tried.values()) > 10, tried


def points(folder: str) -> dict[str, int]:
    """Try every point in a process of its own; how many there were, by kind."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bootstrap.killing", folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tried: dict[str, int] = json.loads(done.stdout)
    return tried
