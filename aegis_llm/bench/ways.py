"""What the package costs: the same prompts straight to Ollama and through it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.bench.plan import THROUGH
from aegis_llm.bench.ratios import over_all, ratios_of
from aegis_llm.bench.values import Phase, Sent, Way
from aegis_llm.bench.verdicts import THRESHOLD, Compared, judged


def ways(phases: Sequence[Phase], sent: Sequence[Sent]) -> tuple[Compared, ...]:
    """Return each figure of a load phase through the package over that around it.

    Both ways had the same words and came one after the other, so they are compared prompt by
    prompt; empty: they did not go both ways.
    """
    names = {one.name: n for n, one in enumerate(phases) if one.kind == "load"}
    both = [
        (phases[place], _of(sent, place), _of(sent, names[name + THROUGH]), True)
        for name, place in names.items()
        if name + THROUGH in names
    ]
    both = [one for one in both if one[1] and one[2]]
    ratios = [made for one in both for made in ratios_of(one)]
    return tuple(judged(over_all(both), THRESHOLD) + judged(ratios, THRESHOLD))


def shown_way(phases: Sequence[Phase]) -> Way:
    """Return the way whose load phases are looked at: around, unless all go through."""
    loads = {one.way for one in phases if one.kind == "load"}
    return "through" if loads == {"through"} else "around"


def _of(sent: Sequence[Sent], place: int) -> list[Sent]:
    return [one for one in sent if one.phase == place]
