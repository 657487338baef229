"""Every code block of the documentation runs, or says in its source why it cannot."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.docs import shell_blocks, stage
from tests.docs.blocks import PAGES, ROOT, blocks_of, every_block, shown
from tests.docs.python_blocks import Session
from tests.redis_server import RedisServer

SHELL = ("bash", "console")
DATA = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
SHOWN = ("text", "log", "conf", "ini", "dockerfile", "promql")
"""What is only looked at: output, lines of a log, files of other programs."""


def _with(*languages: str) -> list[Path]:
    return [path for path in PAGES if any(b.language in languages for b in blocks_of(path))]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("page", _with("python", *SHELL), ids=shown)
def test_a_page_runs_from_top_to_bottom(
    page: Path,
    world: Path,
    edit: Callable[[str], str],
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "redis-cli ACL" in page.read_text() and not redis_server.private:
        pytest.skip("makes a user in Redis; AEGIS_REDIS_URL is used as it is")
    session = Session(stage.NAMES, edit)
    monkeypatch.setitem(sys.modules, session.module.__name__, session.module)
    for block in blocks_of(page):
        if block.language == "python":
            session.run(block)
        elif block.language in SHELL and not block.not_run:
            for line in shell_blocks.lines_of(block):
                shell_blocks.check(line, edit)
    session.close()


def test_redis_starts_with_the_settings_of_the_guide() -> None:
    (block,) = [b for b in every_block("conf") if b.page.endswith("production-redis.md")]
    given = dict(line.split(maxsplit=1) for line in block.code.splitlines())
    given.pop("save")  # the tests' own server saves nothing either
    options = {name.replace("-", "_"): value for name, value in given.items()}
    with RedisServer(**options) as server, server.client() as client:
        told = client.config_get("maxmemory-policy")
    assert told == {"maxmemory-policy": given["maxmemory-policy"]}


def test_the_user_of_the_guide_may_do_what_the_readme_asks_for() -> None:
    guide = (ROOT / "docs/guides/production-redis.md").read_text()
    allowed = {word.upper() for word in re.findall(r"\+([a-z.]+(?:_list)?)", guide)}
    (told,) = re.findall(r"^- \*\*Redis rights\.\*\*.*$", (ROOT / "README.md").read_text(), re.M)
    needed = {w for code in re.findall(r"`([A-Z][A-Z ._]+)`", told) for w in code.split()}
    assert needed - allowed == set()


def test_data_can_be_read() -> None:
    for block in every_block(*DATA):
        DATA[block.language](block.code)


def test_every_block_has_a_language_that_is_known() -> None:
    known = {"python", *SHELL, *DATA, *SHOWN}
    assert [b.where for b in every_block() if b.language not in known] == []


def test_no_code_hides_in_an_indented_block() -> None:
    hidden = re.compile(r"^ {4,}(\$ |sudo |aegis-llm |pip |from \w+ import)")
    found = []
    for path in PAGES:
        fenced = {n for b in blocks_of(path) for n in range(b.line, b.line + b.code.count("\n"))}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if hidden.match(line) and number not in fenced:
                found.append(f"{shown(path)}:{number}")
    assert found == []


def test_what_does_not_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    skipped = [block for block in every_block("python", *SHELL) if block.not_run]
    assert all(len(block.not_run.split()) >= 3 for block in skipped)
    with capsys.disabled():
        print()  # noqa: T201 - the reasons are for who reads the tests' output
        for block in skipped:
            print(f"not run: {block.where}: {block.not_run}")  # noqa: T201 - as above


def test_marks_stand_above_a_block() -> None:
    marked = re.compile(r"^ *<!-- (not run|fresh)", re.MULTILINE)
    for path in PAGES:
        used = [b for b in blocks_of(path) if b.not_run or b.fresh]
        assert len(marked.findall(path.read_text())) == len(used), shown(path)


def test_nothing_is_installed_by_a_name_that_is_another_project_s() -> None:
    by_name = re.compile(r"pip install [^`#\n]*(aegis-llm|langchain-aegis)")
    for path in [*PAGES, *(ROOT / "examples").glob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]:
        assert not by_name.search(path.read_text()), shown(path)


def test_every_example_of_the_readme_is_there() -> None:
    for path in PAGES:
        for name in re.findall(r"\bexamples/(\w+\.py)\b", path.read_text()):
            assert (ROOT / "examples" / name).is_file(), f"{shown(path)} names {name}"
