"""Pictures of a bench as SVG that stands in a page; colours are the page's. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import floor, log10

from aegis_llm.bench.figures import p50, p95
from aegis_llm.bench.results import Results
from aegis_llm.bench.shown import seconds
from aegis_llm.bench.statistics import Estimate
from aegis_llm.bench.values import Sent
from aegis_llm.bench.ways import shown_way
from aegis_llm.simulate.words import per_s

_WIDE, _HIGH = 440, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 30, 40
_ROW = 11
_MOST_ROWS = 60


def speed(found: Results) -> str:
    """Return tokens a second together, and times, by callers."""
    plain = [
        one for phase, one in zip(found.phases, found.figures, strict=True)
        if phase.kind == "load" and phase.way == shown_way(found.phases) and not phase.mixed
        and not one.name.startswith("baseline")
    ]  # fmt: skip
    if not plain:
        return ""
    names = [str(one.callers) for one in plain]
    together = _lines(
        "Tokens a second by callers", names,
        [("all answers together", [one.aggregate for one in plain], "a"),
         ("one answer", [one.stream for one in plain], "b")],
        per_s,
    )  # fmt: skip
    waiting = _lines(
        "Seconds by callers", names,
        [("whole answer, p95", [p95(one.latency) for one in plain], "c"),
         ("whole answer, p50", [p50(one.latency) for one in plain], "a"),
         ("first token, p50", [p50(one.ttft) for one in plain], "b")],
        seconds,
    )  # fmt: skip
    return together + waiting


def timeline(found: Results) -> str:
    """Return what each request of one round of the stress phase did when."""
    place = next(
        (
            n
            for n, one in enumerate(found.phases)
            if one.mixed and one.way == shown_way(found.phases)
        ),
        None,
    )
    own = [one for one in found.requests if one.phase == place and one.total is not None]
    if place is None or not own:
        return ""
    first = min(one.round for one in own)
    shown = sorted((one for one in own if one.round == first), key=lambda one: one.at)[:_MOST_ROWS]
    begin = shown[0].at
    end = max(one.at + one.latency for one in shown) - begin
    wide, high = 2 * _WIDE, _TOP + _ROW * len(shown) + 34
    scale = (wide - 30) / end if end else 1.0
    parts = [_title(f"{found.phases[place].name}, round {first + 1}: each line is a request")]
    for row, one in enumerate(shown):
        top = _TOP + row * _ROW
        at = one.at - begin
        for part, kind in _stretches(one):
            parts.append(_rect(15 + at * scale, top, part * scale, _ROW - 3, kind))
            at += part
    names = (("waited", "w"), ("load", "l"), ("prompt", "b"), ("answer", "a"))
    parts.append(_legend(names, high - 22))
    for tick in _ticks(end, 6):
        x = 15 + tick * scale
        parts.append(_when(x, high - 4, tick, wide))
    return _svg(wide, high, parts, "Timeline of the stress phase")


def cache(found: Results) -> str:
    """Return where answers came from, and how long they took, as dots on a scale by tens."""
    ways = {n: one.way for n, one in enumerate(found.phases) if one.kind == "cache"}
    groups: dict[str, list[float]] = {}
    for one in found.requests:
        if one.phase not in ways or one.error or one.latency <= 0:
            continue
        name = one.outcome.partition(" ")[0] or "straight to Ollama"
        groups.setdefault(name, []).append(one.latency)
    if not groups:
        return ""
    every = [value for values in groups.values() for value in values]
    low, high = floor(log10(min(every))), floor(log10(max(every))) + 1
    wide, tall = 2 * _WIDE, _TOP + 26 * len(groups) + 26
    left = 150

    def x(value: float) -> float:
        return left + (log10(value) - low) / (high - low) * (wide - left - 20)

    parts = [_title("Seconds until the whole answer, each dot a request")]
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line class="g" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{tall - 22}"/>')
        parts.append(_text(at, tall - 6, seconds(10.0**power), "middle"))
    for row, name in enumerate(
        sorted(groups, key=lambda name: sum(groups[name]) / len(groups[name]))
    ):
        y = _TOP + 26 * row + 13
        kind = "a" if name.startswith("hit") else "c"
        parts.append(_text(left - 8, y + 4, f"{name} ({len(groups[name])})", "end"))
        for n, value in enumerate(groups[name]):
            parts.append(
                f'<circle class="{kind} dot" cx="{x(value):.1f}" cy="{y + (n % 5 - 2) * 2.5:.1f}"'
                ' r="2.6"/>'
            )
    return _svg(wide, tall, parts, "Latency of hits and misses")


def memory(found: Results) -> str:
    """Return the memory over the time of the bench."""
    series = []
    for name, field, kind in (
        ("model", "model", "a"), ("all GPUs", "gpu", "b"), ("main memory", "host", "c")
    ):  # fmt: skip
        points = [(one.at, getattr(one, field) / (1 << 30)) for one in found.memory
                  if getattr(one, field) is not None]  # fmt: skip
        if len(points) > 1:
            series.append((name, points, kind))
    if not series:
        return ""
    most = max(value for _, points, _ in series for _, value in points) or 1.0
    last = max(at for _, points, _ in series for at, _ in points) or 1.0
    parts = [_title("GiB in use, over the time of the bench")]
    wide = 2 * _WIDE
    for tick in _ticks(most, 4):
        y = _y(tick, most)
        parts.append(
            f'<line class="g" x1="{_LEFT}" x2="{wide - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", "end"))
    for _, points, kind in series:
        path = " ".join(
            f"{_LEFT + at / last * (wide - _LEFT - _RIGHT):.1f},{_y(value, most):.1f}"
            for at, value in points
        )
        parts.append(f'<polyline class="{kind}" points="{path}"/>')
    for tick in _ticks(last, 6):
        x = _LEFT + tick / last * (wide - _LEFT - _RIGHT)
        parts.append(_when(x, _HIGH - _BOTTOM + 14, tick, wide))
    parts.append(_legend([(name, kind) for name, _, kind in series], _HIGH - 8))
    return _svg(wide, _HIGH, parts, "Memory during the bench")


PICTURES: dict[str, Callable[[Results], str]] = {
    "speed": speed, "timeline": timeline, "cache": cache, "memory": memory
}  # fmt: skip


def _stretches(one: Sent) -> list[tuple[float, str]]:
    parts = [(one.load or 0.0, "l"), (one.wait or 0.0, "w"), (one.prefill or 0.0, "b")]
    spent = sum(length for length, _ in parts)
    return [*parts, (max(0.0, one.latency - spent), "a")]


def _lines(
    title: str,
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[Estimate | None], str]],
    show: Callable[[float], str],
) -> str:
    tops = [one.high if one.high is not None else one.value
            for _, values, _ in series for one in values if one is not None]  # fmt: skip
    most = max(tops, default=1.0) or 1.0
    parts = [_title(title)]
    for tick in _ticks(most, 4):
        y = _y(tick, most)
        parts.append(
            f'<line class="g" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(_text(_LEFT - 6, y + 4, show(tick) if tick else "0", "end"))
    step = (_WIDE - _LEFT - _RIGHT) / len(names)
    for n, name in enumerate(names):
        parts.append(_text(_LEFT + step * (n + 0.5), _HIGH - _BOTTOM + 14, name, "middle"))
    for shift, (_, values, kind) in enumerate(series):
        points = []
        for n, one in enumerate(values):
            if one is None:
                continue
            x = _LEFT + step * (n + 0.5) + (shift - 1) * 3
            points.append(f"{x:.1f},{_y(one.value, most):.1f}")
            if one.low is not None and one.high is not None:
                parts.append(
                    f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" '
                    f'y1="{_y(one.low, most):.1f}" y2="{_y(one.high, most):.1f}"/>'
                )
            parts.append(
                f'<circle class="{kind}" cx="{x:.1f}" cy="{_y(one.value, most):.1f}" r="3">'
                f"<title>{escape(name_of(names[n]))}: {escape(show(one.value))}</title></circle>"
            )
        parts.append(f'<polyline class="{kind}" points="{" ".join(points)}"/>')
    parts.append(_legend([(name, kind) for name, _, kind in series], _HIGH - 8))
    return _svg(_WIDE, _HIGH, parts, title)


def name_of(callers: str) -> str:
    """Return what a place on the axis stands for."""
    return f"{callers} caller{'' if callers == '1' else 's'}"


def _y(value: float, most: float) -> float:
    return _TOP + (1 - value / most) * (_HIGH - _TOP - _BOTTOM)


def _ticks(most: float, about: int) -> list[float]:
    if most <= 0:
        return [0.0]
    rough = most / about
    base = 10.0 ** floor(log10(rough))
    step = next(base * f for f in (1, 2, 2.5, 5, 10) if base * f >= rough)
    return [round(step * n, 10) for n in range(int(most / step) + 1)]


def _legend(names: Sequence[tuple[str, str]], y: float) -> str:
    parts, x = [], float(_LEFT)
    for name, kind in names:
        parts.append(_rect(x, y - 9, 10, 10, kind))
        parts.append(_text(x + 14, y, name, "start"))
        x += 26 + 6.2 * len(name)
    return "".join(parts)


def _title(text: str) -> str:
    return f'<text class="t" x="15" y="16">{escape(text)}</text>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _when(x: float, y: float, at: float, wide: int) -> str:
    """Return a time below an axis; at its right end it is not cut."""
    said = seconds(at) if at else "0"
    if x > wide - _LEFT / 2:
        return _text(wide - 2, y, said, "end")
    return _text(x, y, said, "middle")


def _rect(x: float, y: float, wide: float, high: float, kind: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(0.0, wide):.1f}" '
        f'height="{high}"/>'
    )


def _svg(wide: int, high: float, parts: Sequence[str], label: str) -> str:
    kind = ' class="wide"' if wide > _WIDE else ""
    return (
        f'<svg{kind} viewBox="0 0 {wide} {high}" style="max-width:{wide}px" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
