"""`aegis-llm simulate`: what slots, servers and the cache would give, without any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.progress import Progress
from rich.table import Table

from aegis_llm.cli_parts import console, refuse
from aegis_llm.errors import ConfigError
from aegis_llm.simulate.jobs import Job
from aegis_llm.simulate.load import Load
from aegis_llm.simulate.machines import MACHINES, machine
from aegis_llm.simulate.plan import Row, Targets, rows
from aegis_llm.simulate.setup import Setup
from aegis_llm.simulate.speed import Speed, decode_speeds
from aegis_llm.simulate.trace import read_trace
from aegis_llm.simulate.words import (
    LANGCHAIN,
    LLAMA_INDEX,
    assumptions,
    per_s,
    promised,
    seconds,
    sentences,
)

_CONTENTION = 0.04


class Scheduling(StrEnum):
    """Who decides which request is sent when."""

    off = "off"
    on = "on"
    both = "both"


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


def simulate(
    rate: Annotated[float | None, typer.Option(help="Requests a second, at random times.")] = None,
    concurrent: Annotated[
        int | None, typer.Option(help="Instead: callers who ask again when they are answered.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Instead: a file of requests, see docs/planning.md.")
    ] = None,
    num_parallel: Annotated[
        str, typer.Option(help="Values of OLLAMA_NUM_PARALLEL to compare.")
    ] = "1,2,4,8",
    prompt_tokens: Annotated[int, typer.Option(help="Of a whole prompt, in the mean.")] = 500,
    output_tokens: Annotated[int, typer.Option(help="Of an answer, in the mean.")] = 200,
    vary: Annotated[
        float, typer.Option(help="Deviation of the lengths over their mean; 0: all the same.")
    ] = 0.5,
    prefix_tokens: Annotated[
        int, typer.Option(help="Tokens at the start of a prompt that others share.")
    ] = 0,
    contexts: Annotated[int, typer.Option(help="Different such prefixes.")] = 1,
    models: Annotated[int, typer.Option(help="Different models, asked at random.")] = 1,
    machine_name: Annotated[
        str | None, typer.Option("--machine", help=f"Published speeds: {', '.join(MACHINES)}.")
    ] = None,
    prefill: Annotated[
        float | None, typer.Option(help="Or your own: prompt tokens a second.")
    ] = None,
    decode: Annotated[
        str | None,
        typer.Option(help="Answer tokens a second of one slot, 45; or of several, 1:29,4:104."),
    ] = None,
    contention: Annotated[
        float | None,
        typer.Option(help="Share by which each further slot slows a decode step, else 0.04."),
    ] = None,
    servers: Annotated[int, typer.Option(help="Such servers.")] = 1,
    hit_rate: Annotated[
        float, typer.Option(help="Share of the requests that the cache answers, 0.3.")
    ] = 0.0,
    scheduler: Annotated[
        Scheduling, typer.Option(help="The scheduler of this package in front.")
    ] = Scheduling.off,
    target_ttft: Annotated[
        float | None,
        typer.Option(help="Seconds to the first token, p95; 2 if no target is given."),
    ] = None,
    target_latency: Annotated[
        float | None, typer.Option(help="Seconds to the whole answer, p95.")
    ] = None,
    think: Annotated[
        float, typer.Option(help="Seconds that --concurrent callers pause in between.")
    ] = 0.0,
    load_seconds: Annotated[float, typer.Option(help="Seconds to load a model.")] = 0.0,
    keep_alive: Annotated[float, typer.Option(help="OLLAMA_KEEP_ALIVE in seconds.")] = 300.0,
    max_loaded_models: Annotated[int, typer.Option(help="OLLAMA_MAX_LOADED_MODELS.")] = 3,
    num_batch: Annotated[
        int, typer.Option(help="Prompt tokens a step; Ollama takes 512, 1024 or 2048.")
    ] = 512,
    host_cache_tokens: Annotated[
        int, typer.Option(help="Prompt cache in host memory (8 GiB of an 8B model); 0: off.")
    ] = 65_536,
    requests: Annotated[int, typer.Option(help="How many to play.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Another one plays other random requests.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Plan without a server: what NUM_PARALLEL, more servers and the cache would give.

    Exit status: 0 when there is a plan, 2 when something that was given is not usable.
    """
    try:
        load = Load(
            rate=rate,
            concurrent=concurrent,
            trace=_traced(trace) if trace is not None else None,
            requests=requests,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            vary=vary,
            prefix_tokens=prefix_tokens,
            contexts=contexts,
            models=models,
            hit_rate=hit_rate,
            think_s=think,
            seed=seed,
        )
        setup = Setup(
            speed=_speed(machine_name, prefill, decode, contention, load),
            servers=servers,
            load_s=load_seconds,
            keep_alive_s=keep_alive,
            max_loaded_models=max_loaded_models,
            num_batch=num_batch,
            host_cache_tokens=host_cache_tokens,
        )
        nothing = target_ttft is None and target_latency is None
        targets = Targets(ttft=2.0 if nothing else target_ttft, latency=target_latency)
        parallels = _numbers(num_parallel)
        for parallel in parallels:
            replace(setup, parallel=parallel)
    except ConfigError as exc:
        refuse(f"{exc}.")
    schedulers = {"off": [False], "on": [True], "both": [False, True]}[scheduler]
    with Progress(console=console, transient=True, disable=as_json) as progress:
        task = progress.add_task("simulating", total=len(parallels) * len(schedulers))
        made = rows(setup, load, parallels, targets, schedulers=schedulers,
                    tell=lambda: progress.advance(task))  # fmt: skip
    plan = Plan(
        speed=setup.speed,
        servers=servers,
        rate=load.arrival_rate,
        concurrent=concurrent,
        hit_rate=hit_rate,
        targets=targets,
        rows=made,
        sentences=sentences(made, setup, load, targets),
        assumptions=assumptions(setup, load, schedulers),
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(plan), indent=2).decode())
    else:
        _show(plan)


def _traced(path: Path) -> list[Job]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as exc:
        refuse(f"{path} cannot be read: {exc.strerror}.")
    return read_trace(lines, path.name)


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        refuse(f"--num-parallel {text!r} is not usable; give whole numbers, 1,2,4,8.")
    return sorted(set(numbers))


def _speed(
    name: str | None,
    prefill: float | None,
    decode: str | None,
    contention: float | None,
    load: Load,
) -> Speed:
    """Return the speed of a named machine at the lengths of the load, or the user's own."""
    if name is not None:
        if (prefill, decode, contention) != (None, None, None):
            refuse("--machine has its speeds; give it or --prefill, --decode and --contention.")
        return machine(name).speed(load.mean_context)
    if prefill is None or decode is None:
        refuse("Give a --machine, or your own --prefill and --decode (tokens a second).")
    pairs = decode_speeds(decode)
    if contention is None and len(pairs) == 1:
        contention = _CONTENTION
    source = "--prefill and --decode"
    return Speed(prefill=prefill, decode=pairs, contention=contention, source=source)


def _show(plan: Plan) -> None:
    speed = plan.speed
    shown = ", ".join(f"{n}: {speed.all_slots(n):,.0f}" for n in (1, 2, 4, 8, 16, 32))
    console.print(
        f"Reading {speed.prefill:,.0f} tokens/s; writing by busy slots (tokens/s) {shown}",
        highlight=False,
    )
    console.print(_times(plan.rows), _work(plan.rows), _reached(plan))
    for said in plan.sentences:
        console.print(f"- {said}", highlight=False, markup=False)
    console.print("\nAssumed:", style="dim")
    for said in plan.assumptions:
        console.print(f"- {said}", style="dim", highlight=False, markup=False)
    console.print(
        "\nThe same chain on an OpenAI-compatible server such as vLLM (its speeds: measure them, "
        "and give them here); the cache stays around it:"
    )
    for framework in (LANGCHAIN, LLAMA_INDEX):
        console.print(framework, highlight=False, markup=False, soft_wrap=True)


def _table(title: str, rows: Sequence[Row], *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE, pad_edge=False
    )
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
    table = _table("At what is asked", rows, *names)
    for row in rows:
        seen = (row.outcome.ttft, row.outcome.latency)
        shown = [seconds(value) for one in seen for value in (one.p50, one.p95, one.p99)]
        table.add_row(*_head(row, table), *(["grows"] * 6 if row.overloaded else shown))
    return table


def _work(rows: Sequence[Row]) -> Table:
    table = _table(
        "", rows, "requests/s", "tokens/s", "wait\np95", "longest\nqueue", "slots\nbusy",
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
    table = _table(f"How far it goes: {promised(plan.targets)}", plan.rows, *columns)
    for row in plan.rows:
        rates = [row.capacity, row.sustained, row.sustained_with_cache][: len(columns)]
        shown = ["never" if rate is None else per_s(rate) for rate in rates]
        table.add_row(*_head(row, table), *shown)
    return table
