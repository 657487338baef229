"""What `aegis_llm.testing` offers, and what importing it costs."""

import subprocess
import sys

import pytest

from aegis_llm import testing

HEAVY = ("tokenizers", "safetensors", "langchain_core", "llama_index", "redis", "redisvl", "httpx")


def test_every_public_name_is_there() -> None:
    assert dir(testing) == sorted(testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name).__module__.startswith("aegis_llm.testing.")
    with pytest.raises(AttributeError, match="nonsense"):
        _ = testing.nonsense


def test_importing_the_simulator_is_light() -> None:
    program = (
        "import sys; import aegis_llm.testing as t; "
        "assert 'numpy' not in sys.modules; t.OllamaSimulator; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
