"""Draws docs/numbers.svg from the tables of docs/benchmarks.md: no figure is written here.

`python -m tools.numbers_picture` draws it; a test fails while it is not up to date.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURE = DOCS / "numbers.svg"
_WIDTH, _LEFT, _ROW, _HEAD, _GAP = 560, 206, 26, 46, 20  # small enough for a phone
_BAR = 262
_FLOOR = "floor: redis-py GET of AegisCache's value"
STYLE = """\
<style>
svg { color-scheme: light dark }
.ground { fill: #fff } text { fill: #333 } .note { fill: #666 } .line { stroke: #999 }
.ours { fill: #00796b } .others { fill: #9aa0a8 } .floor { fill: #d0d4d9 }
@media (prefers-color-scheme: dark) {
.ground { fill: #1e2129 } text { fill: #e3e3e3 } .note { fill: #a5a9b2 } .line { stroke: #888 }
.ours { fill: #4db6ac } .others { fill: #767d88 } .floor { fill: #4a4f59 }
}
</style>"""


@dataclass(frozen=True)
class Bar:
    """One bar; `kind` is "ours", "others" or "floor"."""

    name: str
    value: float
    shown: str
    kind: str


@dataclass(frozen=True)
class Panel:
    """Bars that are compared."""

    title: str
    note: str
    bars: tuple[Bar, ...]


def panels(page: str) -> tuple[Panel, ...]:
    """Read the panels out of the page of the benchmarks."""
    return (
        Panel(
            "An exact hit",
            "microseconds at the median, look-up alone, an answer of 1,000 characters",
            (
                _lookup(page, _FLOOR, "redis-py GET", "floor"),
                _lookup(page, "AegisCache.lookup", "AegisCache", "ours"),
                _lookup(page, "langchain-redis RedisCache.lookup", "langchain-redis", "others"),
            ),
        ),
        Panel(
            "Wrong answers to 392 real questions",
            "all differ, so nothing may be served; SQuAD 2.0 on 40 passages, simulated model",
            (
                _wrong(page, "ChatAegis", "aegis-llm, both tiers", "ours"),
                _wrong(page, "RedisSemanticCache, 0.08", "RedisSemanticCache 0.08", "others"),
                _wrong(page, "RedisSemanticCache, 0.2 (default)", "its default 0.2", "others"),
            ),
        ),
        Panel(
            "Model calls for 64 identical requests at once",
            "threads that invoke; tasks and streams alike",
            (
                _calls(page, 0, "ChatAegis", "ours"),
                _calls(page, 1, "langchain-redis RedisCache", "others"),
            ),
        ),
    )


def draw(found: Sequence[Panel]) -> str:
    """Return the picture."""
    height = _GAP + sum(_HEAD + _ROW * len(panel.bars) + _GAP for panel in found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>Measured: docs/benchmarks.md</title>",
        STYLE,
        f'<rect class="ground" width="{_WIDTH}" height="{height}" rx="8"/>',
    ]
    top = _GAP
    for panel in found:
        parts.append(f'<text x="24" y="{top + 14}" font-weight="600">{escape(panel.title)}</text>')
        parts.append(
            f'<text class="note" x="24" y="{top + 32}" font-size="12">{escape(panel.note)}</text>'
        )
        top += _HEAD
        most = max(bar.value for bar in panel.bars)
        for bar in panel.bars:
            wide = max(2.0, _BAR * bar.value / most)
            parts += [
                f'<text x="{_LEFT - 10}" y="{top + 13}" text-anchor="end">'
                f"{escape(bar.name)}</text>",
                f'<rect class="{bar.kind}" x="{_LEFT}" y="{top}" width="{wide:.1f}" height="18"/>',
                f'<text x="{_LEFT + wide + 8:.1f}" y="{top + 13}">{escape(bar.shown)}</text>',
            ]
            top += _ROW
        top += _GAP
    return "\n".join([*parts, "</svg>\n"])


def _lookup(page: str, row: str, name: str, kind: str) -> Bar:
    section = _section(page, "### Exact look-ups")
    microseconds = float(_cells(section, row)[1])
    return Bar(name, microseconds, f"{microseconds:.0f} us", kind)


def _wrong(page: str, column: str, name: str, kind: str) -> Bar:
    section = _section(page, "### Real questions over one context each")
    names = _cells(section, "")
    text = _cells(section, "wrong answers of all requests (hits)")[names.index(column)]
    found = re.match(r"(\d+) of \d+", text)
    if found is None:
        msg = f"docs/benchmarks.md: {text!r} does not say how many were wrong"
        raise ValueError(msg)
    return Bar(name, float(found[1]), found[0], kind)


def _calls(page: str, place: int, name: str, kind: str) -> Bar:
    section = _section(page, "### Model calls for 64 identical requests at once")
    calls = int(_cells(section, "threads, invoke")[1 + place])
    return Bar(name, calls, f"{calls}", kind)


def _section(page: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one or a mark."""
    _, found, rest = page.partition(heading + "\n")
    if not found:
        msg = f"docs/benchmarks.md has no {heading!r}"
        raise ValueError(msg)
    return re.split(r"^(?:#|<!--)", rest, maxsplit=1, flags=re.MULTILINE)[0]


def _cells(section: str, first: str) -> list[str]:
    """Return the cells of the row that begins with a text."""
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] == first:
            return cells
    msg = f"docs/benchmarks.md has no row {first!r} where it is looked for"
    raise ValueError(msg)


if __name__ == "__main__":
    PICTURE.write_text(draw(panels((DOCS / "benchmarks.md").read_text())))
