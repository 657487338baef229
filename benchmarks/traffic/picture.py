"""A picture of policies: the share of wrong hits across, the share of rewordings caught up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 44, 56
_LABEL = 14
_COLOURS = ("#8a8f98", "#2f6fb3", "#c2512f", "#2e8b57", "#7a4fa3")


@dataclass(frozen=True)
class Mark:
    """A point: percent wrong, percent caught, and its label."""

    wrong: float
    caught: float
    label: str = ""


@dataclass(frozen=True)
class Line:
    """Points of one policy, joined when there are several."""

    name: str
    marks: Sequence[Mark]


def draw(title: str, lines: Sequence[Line]) -> str:
    """Return the picture as SVG."""
    widest = max((mark.wrong for line in lines for mark in line.marks), default=1.0)
    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 20, 50) if widest <= 8 * s)
    limit = step * max(1, -(-widest // step))

    def across(wrong: float) -> float:
        return _LEFT + wrong / limit * (_WIDTH - _LEFT - _RIGHT)

    def up(caught: float) -> float:
        return _HEIGHT - _BOTTOM - caught / 100 * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#333">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="24" font-size="15">{escape(title)}</text>',
    ]
    for caught in range(0, 101, 20):
        y = up(caught)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#e6e6e6"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{caught} %", "end"))
    for number in range(round(limit / step) + 1):
        wrong = number * step
        parts.append(_text(across(wrong), _HEIGHT - _BOTTOM + 18, f"{wrong:g} %", "middle"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, _HEIGHT - 14, "wrong answers, of all hits served", "middle"))
    parts.append(_text(_LEFT, _TOP - 6, "rewordings answered rightly from the cache", "start"))
    for place, (line, colour) in enumerate(zip(lines, _COLOURS * len(lines), strict=False)):
        points = [(across(mark.wrong), up(mark.caught), mark.label) for mark in line.marks]
        if len(points) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        radius = 3 if len(points) > 1 else 6
        labelled = float("-inf")
        for x, y, label in points:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')
            if label and abs(y - labelled) >= _LABEL:
                parts.append(_text(x + 8, y + 14, label, "start"))
                labelled = y
        x, y = _WIDTH - _RIGHT - 170, _HEIGHT - _BOTTOM - 18 * (len(lines) - place)
        parts.append(f'<circle cx="{x}" cy="{y - 4:.1f}" r="5" fill="{colour}"/>')
        parts.append(_text(x + 12, y, line.name, "start"))
    return "\n".join([*parts, "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
