"""The rules that hold the package together, checked on its source."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "aegis_llm"
INTEGRATIONS = ROOT / "integrations"
FILES = sorted([*CORE.rglob("*.py"), *INTEGRATIONS.rglob("*.py")])
FRAMEWORKS = (
    "langchain", "langchain_core", "langchain_ollama", "langchain_classic", "langchain_aegis",
    "llama_index",
)  # fmt: skip
IMPURE = ("asyncio", "threading", "time", "os", "socket", "subprocess", "httpx", "redis")
LONGEST, MEDIAN = 400, 150

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {c["name"]: c for c in PYPROJECT["tool"]["importlinter"]["contracts"]}
PURE = CONTRACTS["What decides does no I/O"]["source_modules"]


def shown(path: Path) -> str:
    """Return a path as a test's name."""
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module that the source imports, inside functions too, and by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Call) and name_of(node) in ("import_module", "__import__"):
            for given in node.args[:1]:
                if isinstance(given, ast.Constant):
                    yield str(given.value)


def name_of(call: ast.Call) -> str:
    """Return the last name of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def roots(path: Path) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}


def sources_of(module: str) -> list[Path]:
    """Return the file of a module, or all files of a package."""
    path = ROOT.joinpath(*module.split("."))
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    assert found
    return found


def test_the_contracts_of_import_linter_are_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=shown)
def test_the_core_imports_no_framework_not_even_late(path: Path) -> None:
    assert roots(path).isdisjoint(FRAMEWORKS)


@pytest.mark.parametrize("path", sorted(INTEGRATIONS.rglob("*.py")), ids=shown)
def test_an_adapter_knows_its_own_framework_only(path: Path) -> None:
    other = {"langchain_aegis": "llama_index", "llama_index": "langchain"}
    forbidden = other[path.relative_to(INTEGRATIONS).parts[0]]
    assert not [name for name in roots(path) if name.startswith(forbidden)]


@pytest.mark.parametrize("module", PURE)
def test_what_decides_imports_nothing_that_does(module: str) -> None:
    for path in sources_of(module):
        assert roots(path).isdisjoint(IMPURE), shown(path)


def test_everything_below_the_ports_is_pure() -> None:
    """A new module of the deciding layer belongs into the contract, too."""
    layers = CONTRACTS["A request falls straight down"]["layers"]
    below = {
        name.strip()
        for layer in layers[layers.index("ports : drivers") :]
        for name in layer.replace("|", ":").split(":")
    }
    impure = {"ports", "drivers", "control", "scheduling", "quiet", "naming", "config", "errors"}
    assert "plan" in below
    assert below - impure <= {module.split(".")[1] for module in PURE}


def test_llama_index_stays_a_namespace() -> None:
    """An `__init__.py` above `aegis` would hide every other LlamaIndex package."""
    home = INTEGRATIONS / "llama_index"
    assert [p.relative_to(home).parts[:2] for p in home.rglob("__init__.py")] == [
        ("llms", "aegis")
    ]
    assert (home / "llms" / "aegis" / "__init__.py").is_file()


def test_no_file_is_long() -> None:
    everywhere = [*FILES, *(ROOT / "tests").rglob("*.py")]
    lengths = {path: len(path.read_text().splitlines()) for path in everywhere}
    assert {shown(path): count for path, count in lengths.items() if count > LONGEST} == {}
    assert statistics.median(lengths[path] for path in FILES) < MEDIAN


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_nothing_dangerous_is_called(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert roots(path).isdisjoint(
        {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    )
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        where = f"line {node.lineno}"
        bare = isinstance(node.func, ast.Name)
        assert not (bare and name_of(node) in ("eval", "exec", "compile")), where
        assert name_of(node) not in ("system", "popen", "flushall", "flushdb"), where
        for keyword in node.keywords:
            loud = keyword.arg == "shell" and getattr(keyword.value, "value", True)
            assert not loud, where


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_no_command_that_stops_redis_or_empties_what_is_not_ours(path: Path) -> None:
    words = {"KEYS", "FLUSHDB", "FLUSHALL", "MONITOR", "DEBUG"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            said = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
            assert words.isdisjoint(said.split()), f"line {node.lineno}"
