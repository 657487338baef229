"""What users may name: it exists, it is told, and importing it costs no more than it must."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = {
    "aegis_llm": [
        "AegisConfig", "AegisError", "Answer", "CacheConfig", "ConfigError", "Counts",
        "EmbeddingError", "Entry", "Explanation", "Labels",
        "MissingExtraError", "ModelState", "NotCachedError", "NotWarmError", "Observation",
        "Origin",
        "QueueFullError", "QueueState", "QueueTimeoutError", "SchedulerConfig", "StoreTrouble",
        "TextTooLongError", "Weighed", "__version__", "areject", "cache_control", "observe",
        "queues", "reject", "scheduling",
    ],
    "aegis_llm.testing": [
        "Call", "Clock", "Embedder", "Faults", "HashedNgrams", "ManualClock", "MiniLM",
        "OllamaSimulator", "SimulatedModel", "SystemClock", "Timing", "best_embedder",
    ],
    "langchain_aegis": [
        "AegisCache", "AegisEmbeddings", "BatchingRunnable", "ChatAegis", "cache_chain",
    ],
    "langchain_aegis.agents": ["AegisMiddleware"],
    "llama_index.llms.aegis": [
        "AegisCacheEvent", "AegisEmbedding", "AegisOllama", "AegisQueryEngine",
    ],
}  # fmt: skip
HEAVY = ("langchain_core", "langchain_ollama", "llama_index", "redisvl", "ollama", "httpx")
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def python(code: str) -> list[str]:
    """Run code in a fresh interpreter and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'integrations'}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def members(module: str) -> Iterator[tuple[str, Any]]:
    """Yield every public class and function of a module, and the public methods of our classes."""
    home = importlib.import_module(module)
    for name in home.__all__:
        thing = getattr(home, name)
        if not callable(thing):
            continue
        yield name, thing
        for inner, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not inner.startswith("_") and isinstance(
                value, property | staticmethod | classmethod | type(members)
            ):
                yield f"{name}.{inner}", value


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_those_promised(module: str) -> None:
    home = importlib.import_module(module)
    assert home.__all__ == PUBLIC[module]
    assert home.__all__ == sorted(home.__all__)
    assert len(set(home.__all__)) == len(home.__all__)
    for name in home.__all__:
        assert getattr(home, name) is not None


@pytest.mark.parametrize("module", PUBLIC)
def test_nothing_else_looks_public(module: str) -> None:
    """A name that a user finds without an underscore is a module or is promised."""
    home = importlib.import_module(module)
    found = {
        name
        for name, value in vars(home).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    typing_only = {"Any", "TYPE_CHECKING", "annotations", "import_module"}
    assert found - typing_only - {"MissingExtraError"} <= set(home.__all__)


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_thing_is_described(module: str) -> None:
    bare = [name for name, thing in members(module) if not (inspect.getdoc(thing) or "").strip()]
    assert bare == []


def test_a_public_class_says_something_of_its_own() -> None:
    for module in PUBLIC:
        for name, thing in members(module):
            if inspect.isclass(thing):
                assert vars(thing).get("__doc__"), name


@pytest.mark.parametrize("module", PUBLIC)
def test_a_star_import_brings_the_public_names(module: str) -> None:
    lines = python(f"""
        from {module} import *
        print(*sorted(name for name in dir() if not name.startswith("_")))
    """)
    expected = sorted(name for name in PUBLIC[module] if not name.startswith("_"))
    assert lines == [" ".join(expected)]


@pytest.mark.parametrize("module", ["aegis_llm", "aegis_llm.testing"])
def test_importing_the_core_loads_nothing_heavy(module: str) -> None:
    heavy = (*HEAVY, "numpy", "redis", "tokenizers", "safetensors", "typer", "rich", "asyncio")
    lines = python(f"""
        import sys, {module}
        print(*sorted(name for name in sys.modules if name in {heavy!r}))
        print("aegis_llm.testing" in sys.modules)
    """)
    assert lines == ["", str(module.endswith("testing"))]


def test_the_adapter_of_one_framework_does_not_load_the_other() -> None:
    count = "print(sum(name.split('.')[0] == {!r} for name in sys.modules))"
    assert python("import sys, langchain_aegis\n" + count.format("llama_index")) == ["0"]
    other = "import sys, llama_index.llms.aegis\n" + count.format("langchain_ollama")
    assert python(other) == ["0"]


@pytest.mark.parametrize(
    ("module", "blocked", "extra"),
    [
        ("langchain_aegis", "langchain_core", "langchain"),
        ("langchain_aegis", "langchain_ollama", "langchain"),
        ("langchain_aegis.agents", "langchain", "agents"),
        ("llama_index.llms.aegis", "llama_index.core", "llama-index"),
        ("llama_index.llms.aegis", "llama_index.llms.ollama", "llama-index"),
    ],
)
def test_an_adapter_without_its_framework_names_the_extra(
    module: str, blocked: str, extra: str
) -> None:
    lines = python(f"""
        import importlib, sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name == {blocked!r} or name.startswith({blocked + "."!r}):
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
                return None

        sys.meta_path.insert(0, Absent())
        import aegis_llm
        try:
            importlib.import_module({module!r})
        except aegis_llm.MissingExtraError as exc:
            print(isinstance(exc, ImportError), exc)
    """)
    (said,) = lines
    assert said.startswith(f"True {module} needs the extra {extra}: pip install '")
    assert "aegis" not in said.partition("pip install")[2]  # a name of another project there


def test_the_readme_shows_code_that_python_reads() -> None:
    assert len(BLOCKS) >= 4
    for block in BLOCKS:
        ast.parse(block)


def test_the_readme_imports_what_exists() -> None:
    seen = set()
    for node in ast.walk(ast.parse("\n".join(BLOCKS))):
        if isinstance(node, ast.ImportFrom) and node.module:
            home = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(home, alias.name), f"{node.module}.{alias.name}"
                seen.add(alias.name)
    assert {"ChatAegis", "AegisOllama"} <= seen


def test_the_readme_uses_our_names_as_they_are() -> None:
    """Attributes of `aegis_llm`, and the options given to what is ours."""
    ours = {name: thing for module in PUBLIC for name, thing in members(module)}
    used = set()
    for node in ast.walk(ast.parse("\n".join(BLOCKS))):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "aegis_llm":
            assert node.attr in PUBLIC["aegis_llm"]
            used.add(node.attr)
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ours:
                used.add(name)
                for keyword in node.keywords:
                    assert takes(ours[name], keyword.arg or ""), f"{name}({keyword.arg}=)"
    assert {"cache_control", "observe", "AegisCache", "ChatAegis", "AegisOllama"} <= used


def takes(thing: Any, option: str) -> bool:
    """Return whether a class or function takes an option, as a field or as a parameter."""
    fields = getattr(thing, "model_fields", {})
    aliases = {field.alias for field in fields.values()}
    return option in fields or option in aliases or option in inspect.signature(thing).parameters


def test_the_readme_tells_the_outcomes_and_defaults_that_are_true() -> None:
    from typing import get_args

    from aegis_llm import CacheConfig
    from aegis_llm.values import Outcome

    table = re.findall(r"^\| `(\w+)` \| ", README.split("| outcome |")[1].split("\n\n")[0], re.M)
    assert set(table) == set(get_args(Outcome))
    cache = CacheConfig()
    for option in ("redis_url", "namespace", "ttl", "similarity"):
        row = next(line for line in README.splitlines() if line.startswith(f"| `{option}` |"))
        default = getattr(cache, option)
        said = row.split("|")[2].strip().strip("`").removesuffix(" s")
        assert said == (f"{default:g}" if isinstance(default, float) else str(default))


def test_the_readme_names_settings_that_exist() -> None:
    from aegis_llm import AegisConfig

    for call in re.findall(r"with_options\(([^)]*)\)", README):
        given = {name: float(value) for name, value in re.findall(r"(\w+)=([\d.]+)", call)}
        assert given
        AegisConfig().with_options(**given)
    for name in re.findall(r"`(AEGIS_\w+)`", README):
        assert name in (AegisConfig.from_env.__doc__ or ""), name


def test_no_public_name_hides_a_builtin() -> None:
    for names in PUBLIC.values():
        assert not [name for name in names if hasattr(builtins, name)]
