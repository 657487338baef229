"""`aegis-llm simulate`: what slots, servers and the cache would give, without any of them."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress

from aegis_llm.cli_measure import measure
from aegis_llm.cli_parts import console, refuse, sentences
from aegis_llm.cli_plan import Plan, show
from aegis_llm.config import safe_url
from aegis_llm.errors import ConfigError
from aegis_llm.simulate.jobs import Job
from aegis_llm.simulate.load import Load
from aegis_llm.simulate.machines import MACHINES, machine
from aegis_llm.simulate.plan import Targets, rows
from aegis_llm.simulate.setup import Setup
from aegis_llm.simulate.speed import Speed, decode_speeds
from aegis_llm.simulate.trace import read_trace
from aegis_llm.simulate.words import answers, assumptions

_CONTENTION = 0.04


class Scheduling(StrEnum):
    """Who decides which request is sent when."""

    off = "off"
    on = "on"
    both = "both"


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
    url: Annotated[
        str | None,
        typer.Option("--from", help="Or the address of an Ollama, measured by short requests."),
    ] = None,
    model: Annotated[str, typer.Option(help="The model that --from measures.")] = "llama3.1:8b",
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

    Exit status: 0 when there is a plan, 1 when the Ollama of --from does not answer, 2 when
    something that was given is not usable.
    """
    if rate is None and concurrent is None and trace is None:
        refuse("nothing is asked for; give --rate, --concurrent or --trace.")
    try:
        parallels = _numbers(num_parallel)
        nothing = target_ttft is None and target_latency is None
        targets = Targets(ttft=2.0 if nothing else target_ttft, latency=target_latency)
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
            speed=_speed(load, machine_name, url, model, prefill, decode, contention),
            servers=servers,
            load_s=load_seconds,
            keep_alive_s=keep_alive,
            max_loaded_models=max_loaded_models,
            num_batch=num_batch,
            host_cache_tokens=host_cache_tokens,
        )
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
        sentences=answers(made, setup, load, targets),
        assumptions=assumptions(setup, load, schedulers),
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(plan), indent=2).decode())
    else:
        show(plan)


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
    load: Load,
    name: str | None,
    url: str | None,
    model: str,
    prefill: float | None,
    decode: str | None,
    contention: float | None,
) -> Speed:
    """Return the speed of a named machine at these lengths, a measured or a given one."""
    own = (prefill, decode) != (None, None)
    if (name is not None) + (url is not None) + own != 1:
        refuse("Give one of --machine, --from and your own --prefill with --decode.")
    if name is not None:
        if contention is not None:
            refuse("--machine has speeds for several slots; leave --contention out.")
        return machine(name).speed(load.mean_context)
    if url is not None:
        with sentences():
            found = measure(url, model)
        pairs: tuple[tuple[int, float], ...] = ((1, found.decode),)
        prefill = found.prefill
        contention = found.contention if contention is None else contention
        source = f"{model} at {safe_url(url)}, measured just now by short requests"
    else:
        if prefill is None or decode is None:
            refuse("Give both --prefill and --decode (tokens a second).")
        pairs = decode_speeds(decode)
        source = "--prefill and --decode"
    if contention is None and len(pairs) == 1:
        contention = _CONTENTION
        source += (
            f"; each further slot lengthens a decode step by {_CONTENTION:.0%}, as with dense "
            "models (mixtures of experts lose more)"
        )
    return Speed(prefill=prefill, decode=pairs, contention=contention, source=source)
