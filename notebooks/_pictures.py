"""The pictures of the notebooks, in colours that colour-blind people can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from _support import Asked, Sent, slots_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from aegis_llm.bootstrap import Budget
from aegis_llm.matching import Decision

# The palette of Okabe and Ito.
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PINK = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY = "#6b6b6b"
TICKS = (0.1, 1, 10, 100, 1000, 10_000, 100_000)
GROUPS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW, GREY)
DARK = (BLUE, GREY)
OUTCOMES = {
    "miss": RED,
    "bypass": GREY,
    "hit_local": BLUE,
    "hit_exact": BLUE,
    "hit_semantic": GREEN,
    "coalesced": PINK,
}

plt.rcParams.update(
    {
        "figure.dpi": 110,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "grid.color": "#e4e4e4",
        "font.size": 10,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }
)


def answer_times(rows: Sequence[Asked], title: str) -> Figure:
    """Draw how long each answer took, and where it came from."""
    figure, axes = plt.subplots(figsize=(8, 1.1 + 0.42 * len(rows)))
    ticked = ""
    for place, row in enumerate(rows):
        colour, at = OUTCOMES[row.origin.outcome], 1000 * row.seconds
        axes.hlines(place, 0.1, at, color=colour, linewidth=3)
        axes.plot(at, place, "o", color=colour, markersize=8)
        if row.first is not None and row.first < 0.8 * row.seconds:
            axes.plot(1000 * row.first, place, "|", color=BLACK, markersize=14)
            ticked = "; black line: first token of a stream"
        axes.text(at * 1.25, place, _told(row), va="center")
    axes.set_yticks(range(len(rows)), [row.label for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xscale("log")
    slowest = max(1000 * row.seconds for row in rows)
    axes.set_xlim(0.1, slowest * 600)
    axes.set_xticks([tick for tick in TICKS if tick <= slowest * 10])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel(f"time until the whole answer is there, in ms (logarithmic){ticked}")
    axes.set_title(title)
    return figure


def timeline(axes: Axes, sent: Sequence[Sent], title: str) -> None:
    """Draw what each slot of the server does; one colour for each group of requests."""
    slots = slots_of(sent)
    for one, slot in zip(sent, slots, strict=True):
        colour = GROUPS[one.group % len(GROUPS)]
        axes.barh(slot, one.wrote - one.began, left=one.began, height=0.8, color=colour)
        axes.barh(
            slot, one.ended - one.wrote, left=one.wrote, height=0.8, color=colour, alpha=0.35
        )
        axes.barh(
            slot, one.ended - one.began, left=one.began, height=0.8, fill=False, linewidth=0.4
        )
        if one.wrote - one.began > 0.03 * max(two.ended for two in sent):
            middle = (one.began + one.wrote) / 2
            letter, ink = "ABCDEFGH"[one.group % 8], "white" if colour in DARK else "black"
            axes.text(middle, slot, letter, color=ink, ha="center", va="center")
    axes.set_xlim(0, None)
    axes.set_yticks(range(max(slots) + 1), [f"slot {slot + 1}" for slot in range(max(slots) + 1)])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_title(title)


def legend_of_groups(figure: Figure, groups: int, name: str) -> None:
    """Say below the picture which colour is which group, and what is full and what is pale."""
    handles = [
        Patch(color=colour, label=f"{name} {letter}")
        for colour, letter in zip(GROUPS[:groups], "ABCDEFGH", strict=False)
    ]
    handles += [
        Patch(color=BLACK, label="full: reads the prompt"),
        Patch(color=BLACK, alpha=0.35, label="pale: writes the answer"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9)


def _told(row: Asked) -> str:
    origin, at = row.origin, _milliseconds(1000 * row.seconds)
    if origin.hit:
        return (
            f"{origin.outcome}: {at} ms, of which the cache {_milliseconds(origin.lookup_ms)} ms"
        )
    return f"{origin.outcome}, {origin.reason}: {at} ms"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def cosines(axes: Axes, pairs: Sequence[Mapping[str, Any]]) -> None:
    """Draw each pair by its cosine similarity; what `strict` serves is filled."""
    spread = np.random.default_rng(1).uniform(-0.3, 0.3, len(pairs))
    for at, same, colour in ((0, True, BLUE), (1, False, RED)):
        for served in (True, False):
            chosen = [
                (pair["cosine"], at + up)
                for pair, up in zip(pairs, spread, strict=True)
                if pair["same"] is same and pair["strict"].accept is served
            ]
            x, y = zip(*chosen, strict=True) if chosen else ((), ())
            axes.scatter(x, y, s=36, edgecolors=colour, facecolors=colour if served else "none")
    axes.set_yticks((0, 1), ("the same\nquestion", "another\nquestion"))
    axes.set_ylim(1.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("cosine similarity of the two embeddings")
    axes.set_title("Filled: served by strict. Hollow: the model is asked")


def trade_off(
    axes: Axes, pairs: Sequence[Mapping[str, Any]], points: Sequence[str], scored: bool
) -> None:
    """Draw precision over recall: of a bare cosine, of the learned score, and of the settings."""
    bare = [(pair["cosine"], pair["same"]) for pair in pairs]
    axes.plot(*_curve(bare), color=RED, linewidth=2, label="bare cosine, any threshold")
    for threshold, beside in ((0.85, (5, 5)), (0.90, (5, 5)), (0.95, (6, -14))):
        at = _point([(cosine >= threshold, same) for cosine, same in bare])
        axes.plot(*at, "o", color=RED)
        axes.annotate(f"{threshold:.2f}", at, beside, textcoords="offset points", color=RED)
    if scored:
        sure = [(_score(pair[points[0]]), pair["same"]) for pair in pairs]
        curve = _curve([one for one in sure if one[0] > -1], sum(same for _, same in sure))
        axes.plot(*curve, "--", color=BLUE, linewidth=2, label="gates and score, any threshold")
    for name, mark in zip(points, "Ds^", strict=False):
        at = _point([(pair[name].accept, pair["same"]) for pair in pairs])
        told = f"{name}: {at[0]:.0f} % served, {at[1]:.0f} % right"
        axes.plot(*at, mark, color=BLUE, markersize=10, label=told)
    axes.set_xlim(0, 101)
    axes.set_ylim(45, 101.5)
    axes.set_xlabel("recall: rewordings answered from the cache, in %")
    axes.set_ylabel("precision: right answers among the hits, in %")
    axes.legend(loc="lower left")
    axes.set_title("What a threshold can buy")


def before_after(axes: Axes, runs: Mapping[str, Sequence[Sent]]) -> None:
    """Draw how many answers were there after how many seconds."""
    for (name, sent), colour, style in zip(runs.items(), (RED, BLUE), ("--", "-"), strict=True):
        ended = sorted(one.ended for one in sent)
        told = f"{name}: half after {ended[len(ended) // 2]:.2f} s, all after {ended[-1]:.2f} s"
        axes.step(
            [0, *ended], range(len(ended) + 1), style, where="post", color=colour, label=told
        )
    axes.set_ylim(0, 1.35 * max(map(len, runs.values())))  # room for the legend
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, None)
    axes.set_xlabel("seconds since the burst began (simulated, ten times as fast as a real one)")
    axes.set_ylabel("complete answers")
    axes.legend(loc="upper left")
    axes.set_title("The same burst before and after")


def memory(axes: Axes, budget: Budget) -> None:
    """Draw what the memory goes to."""
    lines = [one for one in budget.lines if one.place == budget.place]
    names = [f"{one.model}\n{one.what}".strip() for one in lines]
    sizes = [one.bytes / 2**30 for one in lines]
    free = [GREEN if one.what == "left free" else BLUE for one in lines]
    axes.bar_label(axes.barh(names, sizes, color=free), fmt=" %.2f GiB")
    axes.invert_yaxis()
    axes.margins(x=0.35)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"GiB of {'GPU' if budget.place == 'gpu' else 'main'} memory")
    axes.set_title("Where the memory goes")


def _curve(scored: Sequence[tuple[float, bool]], of: int | None = None) -> list[list[float]]:
    """Return recall and precision in percent for every threshold."""
    total = of or sum(same for _, same in scored)
    points = []
    for threshold in sorted({score for score, _ in scored}, reverse=True):
        served = [same for score, same in scored if score >= threshold]
        points.append((100 * sum(served) / total, 100 * sum(served) / len(served)))
    return [list(axis) for axis in zip(*points, strict=True)]


def _point(decided: Sequence[tuple[bool, bool]]) -> tuple[float, float]:
    served = [same for accepted, same in decided if accepted]
    total = sum(same for _, same in decided)
    return 100 * sum(served) / total, 100 * sum(served) / max(1, len(served))


def _score(decision: Decision) -> float:
    """Return the score; -1 stands for refused by a gate."""
    if decision.score is not None:
        return decision.score
    return 1.0 if decision.accept else -1.0
