"""Look-alikes that must not share an answer, by what tells them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_llm.gates import gate


def _pairs() -> list[tuple[str, str]]:
    pairs = []
    for line in (Path(__file__).parent / "look_alikes.txt").read_text("utf-8").splitlines():
        if not line or line.startswith("## "):
            continue
        a, mark, b = line.partition(" | ")
        assert mark, line
        pairs.append((a, b))
    return pairs


@pytest.mark.parametrize(("a", "b"), _pairs())
def test_look_alikes_are_refused(a: str, b: str) -> None:
    assert gate(a, b) is not None
