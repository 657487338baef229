"""The LlamaIndex package imports the core, LlamaIndex and Ollama, and nothing else."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "integrations" / "llama_index"
FILES = sorted(ROOT.rglob("*.py"))
ALLOWED = {"aegis_llm", "llama_index", "ollama"} | sys.stdlib_module_names
PURE = {"_convert.py", "_embedder.py"}
IO = {"asyncio", "threading", "time", "os", "socket", "subprocess", "httpx", "redis"}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports(path)}
    assert roots <= ALLOWED
    if path.name in PURE:
        assert not roots & IO


def test_it_shares_the_namespace_with_llama_index() -> None:
    assert FILES
    assert not (ROOT / "__init__.py").exists()
    assert not (ROOT / "llms" / "__init__.py").exists()
    assert (ROOT / "llms" / "aegis" / "py.typed").exists()
