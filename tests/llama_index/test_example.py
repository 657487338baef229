"""The example runs as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.llama_index.kit import Kit

EXAMPLE = Path(__file__).parents[2] / "examples" / "llamaindex_rag.py"


def test_the_example_runs(kit: Kit) -> None:
    env = os.environ | {
        "OLLAMA_HOST": kit.ollama.base_url,
        "AEGIS_REDIS_URL": kit.redis_url,
        "AEGIS_NAMESPACE": kit.namespace,
    }
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE)], env=env, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    outcomes = [line.split()[0] for line in lines]
    assert outcomes[0] == outcomes[3] == "miss"
    assert outcomes[1] == "hit_local"
    assert outcomes[2] in ("hit_semantic", "miss")  # miss: the embedding took over 500 ms
    assert all("Standard shipping takes 5 days" in line for line in lines[:3])
