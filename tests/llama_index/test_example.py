"""The examples run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.llama_index.kit import Kit

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["llamaindex_rag", "llamaindex_engine"])
def test_an_example_runs(kit: Kit, name: str) -> None:
    env = os.environ | {
        "OLLAMA_HOST": kit.ollama.base_url,
        "AEGIS_REDIS_URL": kit.redis_url,
        "AEGIS_NAMESPACE": kit.namespace,
    }
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    outcomes = [line.split()[0] for line in lines]
    if name == "llamaindex_engine":
        assert lines[4].endswith("answers were made from the edited document")
        assert int(outcomes[4]) >= 2
    assert outcomes[0] == outcomes[3] == "miss"
    assert outcomes[1] == "hit_local"
    assert outcomes[2] in ("hit_semantic", "miss")  # miss: the embedding took over 500 ms
    assert all("Standard shipping takes 5 days" in line for line in lines[:3])
