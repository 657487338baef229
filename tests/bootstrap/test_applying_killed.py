"""Killed before any call that writes, a change is undone or finished by the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_change_that_is_killed_at_any_point_can_be_taken_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bootstrap.killing", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tried = json.loads(done.stdout)
    assert list(tried) == ["first apply", "second apply", "rolled back", "first revert",
                           "second revert"]  # fmt: skip
    assert min(tried.values()) > 10, tried
