"""The site is built without a warning, asks the network for nothing, and knows every page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.docs.blocks import ROOT
from tools import site_hooks

PAGES = sorted((ROOT / "docs").rglob("*.md"))


class Loads(HTMLParser):
    """Collects what a browser would fetch for a page, and what it would show of comments."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.loaded.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") != "canonical":
            self.loaded.append(given.get("href") or "")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build a copy of the documentation."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    return subprocess.run(
        command,
        cwd=source,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_link_to_a_file_that_is_no_page_becomes_its_text(tmp_path: Path) -> None:
    (tmp_path / "docs" / "guides").mkdir(parents=True)
    (tmp_path / "docs" / "page.md").touch()
    (tmp_path / "notebook.ipynb").touch()
    config = {"docs_dir": str(tmp_path / "docs")}
    page = SimpleNamespace(file=SimpleNamespace(src_uri="guides/here.md"))
    told = "[one](../../notebook.ipynb) [two](../page.md) [three](../../gone.ipynb)"
    shown = site_hooks.on_page_markdown(f"<!-- not run: why -->\n{told}", page, config)
    assert shown == "one [two](../page.md) [three](../../gone.ipynb)"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT, target)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return target


def test_every_page_is_built(site: Path) -> None:
    for page in PAGES:
        name = page.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / name).is_file(), name


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        parser = Loads()
        parser.feed(page.read_text())
        fetched = [url for url in parser.loaded if re.match(r"(https?:)?//", url)]
        assert fetched == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text()), sheet.name


def test_the_marks_of_the_tests_are_not_shown(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<!-- not run" not in page.read_text()


def test_the_navigation_has_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    config = {
        "docs_dir": str(tmp_path),
        "nav": [
            {"Here": "here.md"},
            {"Gone": "gone.md"},
            {"Group": [{"Gone": "gone.md"}]},
            {"Decisions": "decisions"},
        ],
    }
    (tmp_path / "here.md").write_text("# Here")
    (tmp_path / "new.md").write_text("# A new page\n")
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "0002-b.md").write_text("# 2. Second\n")
    (tmp_path / "decisions" / "0001-a.md").write_text("# 1. First\n")
    assert site_hooks.on_config(config)["nav"] == [
        {"Here": "here.md"},
        {"Decisions": [
            {"1. First": "decisions/0001-a.md"}, {"2. Second": "decisions/0002-b.md"},
        ]},
        {"More": [{"A new page": "new.md"}]},
    ]  # fmt: skip


def test_links_that_lead_nowhere_fail_the_build(tmp_path: Path) -> None:
    bad = ("[gone](gone.md)", "[gone](index.md#no-such-heading)", "![gone](gone.svg)")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "site.css", tmp_path / "docs")
    (tmp_path / "docs" / "index.md").write_text("\n\n".join(("# Start", *bad)))
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert "Aborted with 3 warnings in strict mode" in done.stderr + done.stdout
