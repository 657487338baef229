"""The code blocks of the documentation, and the marks above them.

A block that cannot run says why in the line above it: `<!-- not run: needs a vLLM -->`. The blocks
of a page share their names, like the cells of a notebook; `<!-- fresh -->` begins anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>[\w-]*)[^`\n]*$")
_MARK = re.compile(r"^ *<!-- (?P<name>not run|fresh)(?:: (?P<text>.+))? -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of code."""

    page: str
    line: int
    language: str
    code: str
    not_run: str = ""
    fresh: bool = False

    @property
    def where(self) -> str:
        """Its place, as editors open it."""
        return f"{self.page}:{self.line}"


def shown(path: Path) -> str:
    """Return a page as a test's name."""
    return str(path.relative_to(ROOT))


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    return list(_blocks(shown(path), path.read_text().splitlines()))


def every_block(*languages: str) -> list[Block]:
    """Return the blocks of all pages in some languages; without any: all of them."""
    found = [block for path in PAGES for block in blocks_of(path)]
    return [block for block in found if not languages or block.language in languages]


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    numbered = iter(enumerate(lines, 1))
    before = ""
    for number, line in numbered:
        opened = _FENCE.match(line)
        if opened is None:
            before = line
            continue
        indent, code = len(opened["indent"]), []
        for _, inner in numbered:
            if inner.strip() == opened["fence"]:
                break
            code.append(inner[indent:] if not inner[:indent].strip() else inner)
        else:
            msg = f"{page}:{number}: the block has no end"
            raise ValueError(msg)
        mark = _MARK.match(before)
        name, text = (mark["name"], mark["text"] or "") if mark else ("", "")
        yield Block(
            page,
            number + 1,
            opened["language"],
            "\n".join(code) + "\n",
            not_run=text if name == "not run" else "",
            fresh=name == "fresh",
        )
        before = ""
