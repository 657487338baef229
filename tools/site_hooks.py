"""Hooks of the site: the navigation names what is there, and no page asks the network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Nav = list[Any]
DECISIONS = "decisions"
_MARK = re.compile(r"<!-- (?:not run|fresh)\b.*?-->\n", re.DOTALL)
_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>\.\./[^)#\s]+)\)")


def on_config(config: Any) -> Any:
    """Leave out pages that are not there, list the decisions, and lose no page."""
    docs = Path(config["docs_dir"])
    nav = _present(config["nav"], docs)
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    rest = sorted(pages - set(_targets(nav)))
    config["nav"] = (
        [*nav, {"More": [{_title(docs / page): page} for page in rest]}] if rest else nav
    )
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Take away the marks of the tests, and links to files of the project that are no pages."""
    docs = Path(config["docs_dir"]).resolve()
    folder = (docs / page.file.src_uri).parent

    def kept(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        return link["text"] if target.exists() and not target.is_relative_to(docs) else link[0]

    return _LINK.sub(kept, _MARK.sub("", markdown))


def _present(nav: Nav, docs: Path) -> Nav:
    found: Nav = []
    for item in nav:
        ((title, target),) = item.items()
        if target == DECISIONS:
            target = [{_title(path): f"{DECISIONS}/{path.name}"} for path in _decisions(docs)]
        elif isinstance(target, list):
            target = _present(target, docs)
        elif not (docs / target).is_file():
            continue
        if target:
            found.append({title: target})
    return found


def _targets(nav: Nav) -> Iterator[str]:
    for item in nav:
        for target in item.values():
            if isinstance(target, list):
                yield from _targets(target)
            else:
                yield target


def _decisions(docs: Path) -> list[Path]:
    return sorted((docs / DECISIONS).glob("*.md"))


def _title(path: Path) -> str:
    return path.read_text().partition("\n")[0].removeprefix("# ")
