"""`aegis-llm bench`: measures an Ollama, straight and through the package."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aegis_llm.bench.plan import Speed, check, phases_of, quick
from aegis_llm.bench.values import Settings, Way
from aegis_llm.cli_bench.measuring import Wanted, measured
from aegis_llm.cli_bench.show import show_plan
from aegis_llm.cli_parts import console, refuse, sentences
from aegis_llm.errors import ConfigError

_WAYS: dict[str, tuple[Way, ...]] = {
    "around": ("around",), "through": ("through",), "both": ("around", "through")
}  # fmt: skip


class Ways(StrEnum):
    """Which ways the load phases go."""

    around = "around"
    through = "through"
    both = "both"


def bench(
    ctx: typer.Context,
    model: Annotated[
        str | None, typer.Option(help="Else one that is loaded, else the smallest.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The Ollama; else OLLAMA_HOST, else localhost.")
    ] = None,
    quick_run: Annotated[
        bool, typer.Option("--quick", help="Less than a minute: few and short requests.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan; send nothing.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Results: OUT.json, OUT.md, OUT.html; else by the time.")
    ] = None,
    levels: Annotated[str, typer.Option(help="Callers at the same time.")] = "1,2,4,8,10",
    stress: Annotated[int, typer.Option(help="Callers of the stress phase.")] = 10,
    rounds: Annotated[int, typer.Option(help="How often all is measured.")] = 5,
    each: Annotated[int, typer.Option(help="Requests of a caller in a round.")] = 2,
    prompt_tokens: Annotated[int, typer.Option(help="Length of a prompt, about.")] = 256,
    output_tokens: Annotated[int, typer.Option(help="Most tokens of an answer.")] = 64,
    way: Annotated[
        Ways, typer.Option(help="Straight to Ollama, through the package, or both in turn.")
    ] = Ways.around,
    cold: Annotated[bool, typer.Option(help="Unload the model, to time its load.")] = True,
    pause: Annotated[
        float, typer.Option(help="Seconds after which the model should still be there; 0: skip.")
    ] = 10.0,
    cache: Annotated[
        int, typer.Option(help="Requests of the cache traffic in a round; 0: skip.")
    ] = 40,
    shares: Annotated[
        str, typer.Option(help="Of it: exact repeats, rewordings, new questions.")
    ] = "0.5,0.3,0.2",
    redis_url: Annotated[
        str | None, typer.Option(help="Else AEGIS_REDIS_URL, else a private Redis.")
    ] = None,
    embed_model: Annotated[
        str | None, typer.Option(help="For rewordings; else one that the server has.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a request may take.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Another one sends other prompts.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Write over results that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure an Ollama: speed, waiting, loads, memory, slots, and what the cache brings.

    All phases are measured in interleaved rounds with the same prompts for the same seed. What was
    measured is kept, and marked as partial, when Ctrl-C is pressed or a server goes down.

    Exit status: 0 when all was measured, 1 when nothing could be, 2 when something that was given
    is not usable, 3 when the results are partial, 130 after Ctrl-C.
    """
    if ctx.invoked_subcommand is not None:
        return
    settings = Settings(
        model=model or "",
        levels=_numbers(levels),
        stress=stress,
        rounds=rounds,
        each=each,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        ways=_WAYS[way],
        cold=cold,
        pause_s=pause,
        cache=cache,
        shares=_shares(shares),
        seed=seed,
    )
    if quick_run:
        settings = quick(settings)
    try:
        check(settings)
    except ConfigError as exc:
        refuse(f"{exc}.")
    if dry_run:
        why = "at 1,000 prompt tokens/s and 40 tokens/s in one slot, which is a guess"
        show_plan(phases_of(settings), settings, Speed(), why)
        return
    wanted = Wanted(
        settings=settings,
        url=url,
        redis_url=redis_url,
        embed_model=embed_model,
        timeout_s=timeout,
        out=out,
        force=force,
        as_json=as_json,
    )
    with sentences():
        status = measured(wanted, console)
    raise typer.Exit(status)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        refuse(f"--levels {text!r} is not usable; give whole numbers, 1,2,4.")


def _shares(text: str) -> tuple[float, float, float]:
    try:
        exact, reworded, new = (float(part) for part in text.split(","))
    except ValueError:
        refuse(f"--shares {text!r} is not usable; give three of them, 0.5,0.3,0.2.")
    return exact, reworded, new
