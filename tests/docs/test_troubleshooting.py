"""What the page of symptoms quotes is what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from aegis_llm import errors
from aegis_llm.config import OPTION_NAMES
from aegis_llm.stores import link
from tests.docs.blocks import ROOT, every_block

PAGE = ROOT / "docs" / "troubleshooting.md"
SOURCES = [*(ROOT / "aegis_llm").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")]
LOGGED = {"warning", "error", "info", "say_once"}
_DIRECTIVE = re.compile(r"%(?:\.\d+)? ?[sdrf]|%%")


def templates() -> Iterator[str]:
    """Yield a pattern for each text that is logged, and for long texts that may be."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            logged = isinstance(node, ast.Call) and _name(node.func) in LOGGED and node.args
            found = node.args[0] if logged else node
            if isinstance(found, ast.JoinedStr):
                yield "".join(_part(value) for value in found.values)
                continue
            text = found.value if isinstance(found, ast.Constant) else None
            if isinstance(text, str) and (logged or len(text) > 60):
                yield _pattern(text)


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _part(value: ast.expr) -> str:
    return re.escape(value.value) if isinstance(value, ast.Constant) else ".+"


def _pattern(text: str) -> str:
    return ".+".join(re.escape(part) for part in _DIRECTIVE.split(text))


@cache
def known() -> tuple[re.Pattern[str], ...]:
    """Return the patterns that say enough to tell one text from another."""
    return tuple(re.compile(p) for p in templates() if len(re.sub(r"\.\+|\\", "", p)) > 12)


def quoted() -> list[str]:
    """Return the lines of a log that the page shows."""
    blocks = [block for block in every_block("log") if block.page.endswith(PAGE.name)]
    return [line for block in blocks for line in block.code.splitlines()]


def test_every_line_of_the_log_is_one_that_the_code_writes() -> None:
    assert len(quoted()) > 10
    for line in quoted():
        assert any(pattern.fullmatch(line) for pattern in known()), line


def test_the_advice_of_a_line_about_redis_belongs_to_its_reason() -> None:
    line = re.compile(r"^Redis at \S+: (redis_\w+|no_query_engine); (.+)$", re.MULTILINE)
    told = line.findall("\n".join(quoted()))
    assert len(told) >= 5
    for reason, advice in told:
        usual = "requests go to the model; caching resumes by itself"
        assert advice == link._HELP.get(reason, usual)


def test_the_reasons_are_those_of_the_list() -> None:
    listed = (ROOT / "docs/outcomes.md").read_text()
    page = PAGE.read_text()
    kinds = "redis|route|embedding|question|model|no|below|pair"
    for reason in re.findall(rf"`((?:{kinds})_\w+)`", page):
        assert f"`{reason}`" in listed or reason in OPTION_NAMES, reason


def test_the_errors_exist() -> None:
    named = set(re.findall(r"\b([A-Z]\w+(?:Error|Trouble))\b", PAGE.read_text()))
    assert named - set(dir(errors)) == set()


def test_a_page_that_quotes_what_nobody_writes_is_found() -> None:
    assert not any(p.fullmatch("Redis at redis://cache:6379 went for a walk") for p in known())


def test_every_source_is_read() -> None:
    assert Path(link.__file__) in SOURCES
