"""A plan as tables and sentences, or as data."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich import box
from rich.table import Table

from aegis_llm.cli_parts import console
from aegis_llm.simulate.plan import Row, Targets
from aegis_llm.simulate.speed import Speed
from aegis_llm.simulate.words import LANGCHAIN, LLAMA_INDEX, per_s, promised, seconds


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; fields are added, never renamed, while `v` stays 1."""

    v: int = 1
    speed: Speed
    servers: int
    rate: float | None
    concurrent: int | None
    hit_rate: float
    targets: Targets
    rows: list[Row]
    sentences: list[str]
    assumptions: list[str]


def show(plan: Plan) -> None:
    """Print a plan as tables and sentences."""
    speed = plan.speed
    slots = sorted({row.parallel for row in plan.rows})
    shown = ", ".join(f"{speed.all_slots(n):,.0f} with {n}" for n in slots)
    console.print(
        f"Reads {speed.prefill:,.0f} tokens/s; busy slots write together {shown}.\n",
        highlight=False,
    )
    console.print("At what is asked", style="bold")
    console.print(_times(plan.rows), _work(plan.rows))
    console.print(f"How far it goes: {promised(plan.targets)}", style="bold", highlight=False)
    console.print(_reached(plan))
    for said in plan.sentences:
        console.print(f"- {said}", highlight=False, markup=False)
    console.print("\nAssumed:", style="dim")
    for said in plan.assumptions:
        console.print(f"- {said}", style="dim", highlight=False, markup=False)
    console.print(
        "\nThe same chain on an OpenAI-compatible server such as vLLM (measure its speeds, and "
        "give them here); the cache stays around it:"
    )
    for framework in (LANGCHAIN, LLAMA_INDEX):
        console.print(framework, highlight=False, markup=False, soft_wrap=True)


def _table(rows: Sequence[Row], *columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("slots", justify="right")
    if any(row.scheduler for row in rows):
        table.add_column("scheduler")
    for column in columns:
        table.add_column(column, justify="right", no_wrap="\n" not in column)
    return table


def _head(row: Row, table: Table) -> list[str]:
    named = table.columns[1].header == "scheduler"
    return [str(row.parallel), *(["on" if row.scheduler else "off"] if named else [])]


def _times(rows: Sequence[Row]) -> Table:
    parts = ("p50", "p95", "p99")
    names = [f"{what}\n{part}" for what in ("TTFT", "answer") for part in parts]
    table = _table(rows, *names)
    for row in rows:
        seen = (row.outcome.ttft, row.outcome.latency)
        shown = [seconds(value) for one in seen for value in (one.p50, one.p95, one.p99)]
        table.add_row(*_head(row, table), *(["grows"] * 6 if row.overloaded else shown))
    return table


def _work(rows: Sequence[Row]) -> Table:
    table = _table(
        rows, "requests/s", "tokens/s", "wait\np95", "longest\nqueue", "slots\nbusy",
        "prefill\nsaved",
    )  # fmt: skip
    for row in rows:
        seen = row.outcome
        table.add_row(
            *_head(row, table),
            per_s(seen.requests_per_s),
            f"{seen.tokens_per_s:,.0f}",
            "grows" if row.overloaded else seconds(seen.wait.p95),
            "grows" if row.overloaded else f"{seen.longest_queue:,}",
            f"{seen.slot_use:.0%}",
            f"{seen.prefill_saved:.0%}",
        )
    return table


def _reached(plan: Plan) -> Table:
    cached = bool(plan.hit_rate)
    columns = ["requests/s\nat most", "within the\ntargets up to"]
    if cached:
        columns.append(f"with {plan.hit_rate:.0%}\nfrom the cache")
    table = _table(plan.rows, *columns)
    for row in plan.rows:
        rates = [row.capacity, row.sustained, row.sustained_with_cache][: len(columns)]
        shown = ["never" if rate is None else per_s(rate) for rate in rates]
        table.add_row(*_head(row, table), *shown)
    return table
