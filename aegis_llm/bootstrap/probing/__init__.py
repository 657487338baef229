"""Finds out what a machine, its Ollama and its models are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing.fact_file import read_facts

__all__ = ["probe", "read_facts"]


def probe(url: str | None = None, *, root: Path = Path("/"), models: Sequence[str] = ()) -> Facts:
    """Return what can be found out; what cannot is listed as unknown, with what to do."""
    return Facts()
