"""The wheel and the source archive that users get."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

import aegis_llm

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INFO = f"aegis_llm-{aegis_llm.__version__}.dist-info"
PACKAGES = ("aegis_llm/", "langchain_aegis/", "llama_index/llms/aegis/", f"{INFO}/")


def run(*command: str, cwd: Path, path: str = "") -> str:
    """Run Python with arguments and return what it prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "AEGIS_", "PIP_"))}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**env, "PYTHONPATH": path} if path else env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(kind: str, folder: Path) -> Path:
    """Build one kind of distribution from the checkout, without an index."""
    code = f"import hatchling.build as b, sys; print(b.build_{kind}(sys.argv[1]))"
    return folder / run("-c", code, str(folder), cwd=ROOT).split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    return built("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return {name for name in archive.namelist() if not name.endswith("/")}


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """The metadata of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return message_from_string(archive.read(f"{INFO}/METADATA").decode())


def test_the_wheel_is_for_every_python_and_platform(wheel: Path) -> None:
    assert wheel.name == f"aegis_llm-{aegis_llm.__version__}-py3-none-any.whl"


def test_the_wheel_holds_three_packages_and_nothing_else(names: set[str]) -> None:
    assert [name for name in sorted(names) if not name.startswith(PACKAGES)] == []
    for package in PACKAGES[:3]:
        assert f"{package}__init__.py" in names
        assert f"{package}py.typed" in names
    assert not {"llama_index/__init__.py", "llama_index/llms/__init__.py"} & names
    assert not [name for name in names if re.search(r"(^|/)(tests|benchmarks|__pycache__)/", name)]


def test_every_source_file_is_in_the_wheel(names: set[str]) -> None:
    sources = {
        str(path.relative_to(home))
        for home in (ROOT, ROOT / "integrations")
        for package in ("aegis_llm", "langchain_aegis", "llama_index")
        for path in (home / package).rglob("*.py")
    }
    assert sources <= names
    assert {name for name in names if name.endswith(".py")} == sources


def test_the_documents_of_the_demo_are_in_the_wheel(names: set[str]) -> None:
    documents = {f"aegis_llm/documents/{p.name}" for p in (ROOT / "aegis_llm/documents").iterdir()}
    assert documents
    assert documents <= names


def test_the_templates_of_the_page_are_in_the_wheel(names: set[str]) -> None:
    home = ROOT / "aegis_llm/ui"
    found = [*(home / "templates").iterdir(), *(home / "static").iterdir()]
    files = {str(path.relative_to(ROOT)) for path in found}
    assert "aegis_llm/ui/templates/base.html" in files
    assert files <= names


def test_the_metadata_says_what_the_project_says(metadata: Message) -> None:
    assert metadata["Name"] == "aegis-llm"
    assert metadata["Version"] == aegis_llm.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()
    assert set(metadata.get_all("Provides-Extra") or ()) == {
        "langchain", "agents", "llama-index", "embedded", "ui", "notebooks", "metrics", "all",
    }  # fmt: skip


def test_the_core_needs_no_framework(metadata: Message) -> None:
    needed = metadata.get_all("Requires-Dist") or []
    core = [line for line in needed if "extra ==" not in line]
    assert sorted(re.split(r"[\[<>=!]", line)[0] for line in core) == [
        "httpx", "msgspec", "numpy", "ollama", "psutil", "pyyaml", "redis", "redisvl", "rich",
        "typer",
    ]  # fmt: skip
    for extra, package in (("langchain", "langchain-core"), ("agents", "langchain<"),
                           ("llama-index", "llama-index-core")):  # fmt: skip
        assert [n for n in needed if n.startswith(package) and f"extra == '{extra}'" in n]


def test_every_dependency_has_an_upper_bound() -> None:
    extras = [d for deps in PROJECT["optional-dependencies"].values() for d in deps
              if not d.startswith("aegis-llm[")]  # fmt: skip
    for line in [*PROJECT["dependencies"], *extras]:
        assert ">=" in line, line
        assert "<" in line.partition(";")[0], line


def test_the_entry_points_lead_to_functions(wheel: Path, names: set[str]) -> None:
    assert f"{INFO}/entry_points.txt" in names
    parser = ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        parser.read_string(archive.read(f"{INFO}/entry_points.txt").decode())
    assert dict(parser["console_scripts"]) == {"aegis-llm": "aegis_llm.cli:main"}
    assert dict(parser["aegis_llm.demos"]) == {
        "langchain": "langchain_aegis.demo:demo",
        "llama-index": "llama_index.llms.aegis.demo:demo",
    }


def test_the_wheel_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """From another folder, in a clean target, beside the dependencies that are here already."""
    target, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile")
    run(*pip, "--disable-pip-version-check", "--target", str(target), str(wheel), cwd=elsewhere)
    code = """
import sys
from importlib import import_module
from importlib.metadata import entry_points, version
for name in ("aegis_llm", "langchain_aegis", "llama_index.llms.aegis", "aegis_llm.testing",
             "aegis_llm.cli", "aegis_llm.demo"):
    print(import_module(name).__file__)
import llama_index.core
from importlib.resources import files
print(len(list((files("aegis_llm") / "documents").iterdir())), version("aegis-llm"))
for group in ("console_scripts", "aegis_llm.demos"):
    for point in entry_points(group=group):
        if point.value.startswith(("aegis_llm", "langchain_aegis", "llama_index.llms.aegis")):
            print(point.name, callable(point.load()))
"""
    lines = run("-c", code, cwd=elsewhere, path=str(target)).splitlines()
    assert all(line.startswith(str(target)) for line in lines[:6]), lines
    documents = len(list((ROOT / "aegis_llm/documents").iterdir()))
    assert lines[6] == f"{documents} {aegis_llm.__version__}"
    assert sorted(lines[7:]) == ["aegis-llm True", "langchain True", "llama-index True"]
    answer = run(str(target / "bin" / "aegis-llm"), "--help", cwd=elsewhere, path=str(target))
    assert "demo" in answer


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = built("sdist", tmp_path)
    root = f"aegis_llm-{aegis_llm.__version__}"
    assert archive.name == f"{root}.tar.gz"
    with tarfile.open(archive) as packed:
        held = {name.removeprefix(f"{root}/") for name in packed.getnames()}
        packed.extractall(tmp_path, filter="data")
    assert {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "aegis_llm/py.typed"} <= held
    tops = {name.partition("/")[0] for name in held}
    assert not tops & {"benchmarks", ".git", ".ci", "dist", ".hypothesis", ".venv"}
    assert not [name for name in held if "__pycache__" in name]
    code = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    again = tmp_path / run("-c", code, str(tmp_path), cwd=tmp_path / root).split()[-1]
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {i.filename: i.CRC for i in first.infolist()} == {
            i.filename: i.CRC for i in second.infolist()
        }
