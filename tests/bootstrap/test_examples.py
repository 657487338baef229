"""The example of a plan runs as it stands: nothing but the package is needed."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples/tune_server.py"


def test_a_server_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    told = capsys.readouterr().out
    assert "OLLAMA_NUM_PARALLEL=4  # 4 requests at the same time" in told
    assert "OLLAMA_NUM_THREADS=  # It does nothing." in told
    assert "fits: True" in told
    compose = yaml.safe_load(told.partition("GiB used\n")[2])
    (service,) = compose["services"].values()
    assert service["environment"]["OLLAMA_CONTEXT_LENGTH"] == "7168"
