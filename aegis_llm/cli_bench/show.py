"""A plan and its results on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from aegis_llm.bench.figures import p50, p95
from aegis_llm.bench.plan import Speed, cost, rounds_of
from aegis_llm.bench.results import Results
from aegis_llm.bench.shown import seconds
from aegis_llm.bench.statistics import Estimate
from aegis_llm.bench.telling import sections
from aegis_llm.bench.values import Phase, Settings
from aegis_llm.cli_parts import console
from aegis_llm.simulate.words import per_s

_IN_WORDS = ("Slots", "Loading and staying", "Cache", "Around the package and through it", "Notes")


def show_plan(phases: Sequence[Phase], settings: Settings, speed: Speed, why: str) -> None:
    """Print what would be sent."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("phase")
    for column in ("rounds", "callers", "requests", "prompt", "answer"):
        table.add_column(column, justify="right", no_wrap=True)
    for phase in phases:
        times = rounds_of(phase, settings)
        table.add_row(
            phase.name,
            str(times),
            str(phase.callers),
            str(times * phase.requests),
            f"{phase.prompt_tokens:,}{' or more' if phase.mixed else ''}",
            f"{phase.output_tokens:,}",
        )
    console.print(table)
    whole = cost(phases, settings, speed)
    line(
        f"{whole.requests:,} requests, {whole.read:,} tokens to read, at most {whole.written:,} "
        f"to write: about {seconds(whole.seconds)} {why}."
    )
    for said in effects(settings):
        line(f"- {said}")


def effects(settings: Settings) -> list[str]:
    """Return what a bench does to others on the server."""
    said = ["It takes the slots of the server: who uses it meanwhile waits, and disturbs."]
    if settings.cold:
        model = settings.model or "the model"
        times = "once" if settings.rounds == 1 else f"{settings.rounds} times"
        said.append(f"It unloads {model} {times} (--no-cold: never).")
    if settings.cache:
        said.append("It stores entries in a namespace of its own, and deletes them at the end.")
    if settings.budget_s is not None:
        said.append(f"Nothing is begun after {settings.budget_s:.0f} s.")
    return said


def show_results(found: Results) -> None:
    """Print the figures that fit, and the sentences."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("phase")
    times = ("first\ntoken", "answer\np50", "answer\np95")
    for column in ("sent", "failed", *times, "tokens/s\neach", "tokens/s\ntogether"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found.figures:
        if one.kind != "load" or not one.requests:
            continue
        table.add_row(
            one.name,
            str(one.requests),
            str(sum(one.errors.values())),
            _time(p50(one.ttft)),
            _time(p50(one.latency)),
            _time(p95(one.latency)),
            _rate(one.stream),
            _rate(one.aggregate),
        )
    console.print(table)
    for section in sections(found):
        if section.title in _IN_WORDS:
            for said in section.said:
                line(f"- {said}")
    claims = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("promised", "", "measured here"):
        claims.add_column(column)
    for claim in found.claims:
        claims.add_row(claim.claim, claim.claimed, claim.measured)
    console.print(claims)
    if found.partial:
        line(f"PARTIAL: {found.partial}.", style="yellow")


def line(text: str, style: str | None = None) -> None:
    """Print one line as it is."""
    console.print(text, style=style, markup=False, highlight=False)


def _time(one: Estimate | None) -> str:
    return "-" if one is None else seconds(one.value)


def _rate(one: Estimate | None) -> str:
    return "-" if one is None else per_s(one.value)
