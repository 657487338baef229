"""`aegis-llm probe`: what this machine, its Ollama and its models are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.table import Table

from aegis_llm.bootstrap import kv
from aegis_llm.bootstrap.facts import Cpu, Facts, Gpu, Memory, ModelFacts, Ollama
from aegis_llm.cli_bootstrap.given import facts_of
from aegis_llm.cli_parts import console, refuse
from aegis_llm.errors import ConfigError

_NONE = "unknown"


def probe(
    url: Annotated[
        str | None, typer.Option(help="The Ollama to ask; else OLLAMA_HOST, else localhost.")
    ] = None,
    host_facts: Annotated[
        Path | None, typer.Option(help="A fact file of another machine, made by --json there.")
    ] = None,
    root: Annotated[Path, typer.Option(help="Where the files of the machine are.")] = Path("/"),
    models: Annotated[str, typer.Option(help="Models to look at, a,b; else all.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a fact file.")] = False,
) -> None:
    """Find out what the tuner needs to know; nothing is changed, and no model is loaded.

    What --json prints is a fact file: complete it by hand, and give it to --host-facts here or on
    another machine.

    Exit status: 0 when it is shown, also when much is unknown; 2 when something that was given is
    not usable.
    """
    names = tuple(name for part in models.split(",") if (name := part.strip()))
    try:
        facts = facts_of(url=url, host_facts=host_facts, root=root, models=names)
    except ConfigError as exc:
        refuse(f"{exc}.")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(facts), indent=2).decode())
    else:
        show(facts)


def show(facts: Facts) -> None:
    """Print facts as tables, and what is unknown with how to give it."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("from", _plain(facts.source))
    table.add_row("system", _plain(facts.os_name or facts.os))
    table.add_row("processor", _cpu(facts.cpu))
    table.add_row("memory", _memory(facts.memory))
    for one in facts.gpus or ():
        table.add_row("GPU", _gpu(one))
    if not facts.gpus:
        table.add_row("GPU", _NONE if facts.gpus is None else "none that Ollama computes on")
    for one in facts.unused_gpus:
        table.add_row("", f"{_plain(one.name)}: left alone unless OLLAMA_IGPU_ENABLE=1")
    _server(facts.ollama, table)
    console.print(table, highlight=False)
    if facts.models:
        console.print("\nModels", style="bold")
        console.print(_models(facts), highlight=False)
    if facts.unknown:
        console.print("\nUnknown", style="bold")
        for lack in facts.unknown:
            text = f"- {lack.what}: {lack.why}.\n  To give it: {lack.give}"
            console.print(text, highlight=False, markup=False)


def gib(size: float | None) -> str:
    """Return bytes as GiB with two decimals."""
    return _NONE if size is None else f"{size / (1 << 30):.2f} GiB"


def _plain(text: str | None) -> str:
    from rich.markup import escape

    return escape(text) if text else _NONE


def _cpu(cpu: Cpu) -> str:
    if cpu.physical_cores is None:
        return f"{_plain(cpu.name)}, cores unknown"
    cores = f"{cpu.physical_cores} cores"
    if cpu.fast_cores is not None and cpu.fast_cores < cpu.physical_cores:
        cores += f" ({cpu.fast_cores} fast)"
    if cpu.logical_cores is not None and cpu.logical_cores != cpu.physical_cores:
        cores += f", {cpu.logical_cores} threads"
    named = [part for part in (cpu.name, cpu.architecture) if part]
    return ", ".join([*map(_plain, named), cores])


def _memory(memory: Memory) -> str:
    shared = ", shared with the GPU" if memory.unified else ""
    free = f"{gib(memory.available)} available"
    return f"{gib(memory.total)}, {free}{shared}{_rate(memory.bandwidth)}"


def _gpu(gpu: Gpu) -> str:
    free = "" if gpu.free is None else f", {gib(gpu.free)} free"
    capability = f", compute capability {gpu.capability}" if gpu.capability else ""
    driver = f", driver {gpu.driver}" if gpu.driver else ""
    size = f"{gib(gpu.memory)}{free}{_rate(gpu.bandwidth)}"
    return _plain(f"{gpu.name}: {size}{capability}{driver}")


def _rate(rate: float | None) -> str:
    return "" if rate is None else f", {rate / 1e9:,.0f} GB/s"


def _server(ollama: Ollama, table: Table) -> None:
    state = {True: "answers", False: "does not answer", None: "not asked"}[ollama.running]
    version = f"version {ollama.version}" if ollama.version else "version unknown"
    table.add_row("Ollama", _plain(f"{version}, {ollama.url} {state}"))
    unit = f" ({ollama.unit})" if ollama.unit else ""
    user = f", run by {ollama.user}" if ollama.user else ""
    table.add_row("installed", _plain(f"{ollama.installed or _NONE}{unit}{user}"))
    for path in ollama.files:
        table.add_row("", _plain(path))
    if ollama.environment is None:
        table.add_row("variables", _NONE)
        return
    shown = [_plain(f"{name}={value}") for name, value in ollama.environment.items()]
    source = f"of {_plain(ollama.environment_source)}:" if shown else "none that concern inference"
    for name, value in zip(["variables", *[""] * len(shown)], [source, *shown], strict=True):
        table.add_row(name, value)


def _models(facts: Facts) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("model", overflow="fold")
    table.add_column("size\nGiB", justify="right")
    table.add_column("quant")
    table.add_column("layers", justify="right")
    table.add_column("KiB KV\na token", justify="right")
    table.add_column("trained\ncontext", justify="right")
    table.add_column("notes")
    loaded = {one.name for one in facts.loaded}
    for one in facts.models:
        table.add_row(
            _plain(one.name),
            "?" if one.size is None else f"{one.size / (1 << 30):.2f}",
            _plain(one.quantization or "?"),
            str(one.layers or "?"),
            _kv(one),
            str(one.trained_context or "?"),
            ", ".join(_notes(one, loaded=one.name in loaded)),
        )
    return table


def _kv(model: ModelFacts) -> str:
    if model.embeds:
        return "-"
    return f"{float(kv.per_token(model)) / 1024:g}" if kv.is_known(model) else "?"


def _notes(model: ModelFacts, *, loaded: bool) -> list[str]:
    experts = f"{model.experts_used} of {model.experts} experts" if model.experts else ""
    window = f"window {model.sliding_window}" if model.sliding_window else ""
    said = {
        "loaded": loaded,
        "embeddings": model.embeds,
        "vision": model.vision,
        "recurrent": model.recurrent,
        "MLA": model.latent is not None,
        window: bool(window),
        experts: bool(experts),
        f"sets {', '.join(model.options)}": bool(model.options),
    }
    return [note for note, holds in said.items() if holds]
