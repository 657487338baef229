"""`aegis-llm quant`: what quantization a model has, and which one to take on this machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising.shapes import known_shape
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.quantizing import quantizations
from aegis_llm.cli_bootstrap.exits import NOT_SO
from aegis_llm.cli_bootstrap.given import facts_of
from aegis_llm.cli_bootstrap.quant_table import show
from aegis_llm.cli_parts import checked, refuse, sentences
from aegis_llm.errors import ConfigError
from aegis_llm.keys import normal_model


class For(StrEnum):
    """What to weigh when not everything can be had."""

    throughput = "throughput"
    latency = "latency"
    memory = "memory"


def quant(
    model: Annotated[str, typer.Argument(help="A model: llama3.1:8b.")],
    url: Annotated[
        str | None, typer.Option(help="The Ollama that has it; else OLLAMA_HOST, else localhost.")
    ] = None,
    host_facts: Annotated[
        Path | None, typer.Option(help="Instead of this machine: a file that describes another.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Instead of this machine: one by name, dgx-spark.")
    ] = None,
    concurrent: Annotated[int, typer.Option(help="Requests at the same time.")] = 4,
    prompt_tokens: Annotated[int, typer.Option(help="Of a long prompt.")] = 3000,
    output_tokens: Annotated[int, typer.Option(help="Of the longest answer.")] = 500,
    least_tokens_per_second: Annotated[
        float | None, typer.Option(help="What one answer alone shall have, 30.")
    ] = None,
    goal: Annotated[
        For,
        typer.Option(
            "--for",
            metavar="GOAL",
            help="What to weigh when not everything can be had: throughput, latency, memory.",
        ),
    ] = For.throughput,
    beside: Annotated[
        str, typer.Option(help="Other models that shall stay loaded, with commas.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what quantization a model has, what others would take here, and which to take.

    The losses are published figures with their source; docs/quantization.md explains them.

    Exit status: 0 when one is recommended, 1 when the machine cannot be read, 2 when something
    that was given is not usable, 3 when none fits or is fast enough.
    """
    model = checked(model, "name of the model")
    others = tuple(name.strip() for name in beside.split(",") if name.strip())
    workload = Workload(
        concurrent=concurrent,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        models=(model, *others),
        goal=goal.value,
    )
    with sentences():
        try:
            facts = facts_of(url=url, host_facts=host_facts, profile=profile, models=(model,))
            found = quantizations(
                _model(facts, model),
                facts,
                workload,
                least_tokens_per_second=least_tokens_per_second,
            )
        except ConfigError as exc:
            refuse(f"{exc}.")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        show(found, facts)
    if found.recommended.label is None:
        raise typer.Exit(NOT_SO)


def _model(facts: Facts, name: str) -> ModelFacts:
    """Return the facts of a model, or what comes with the package about it.

    Raises:
        ConfigError: Nothing is known of it.
    """
    own = next((m for m in facts.models if normal_model(m.name) == normal_model(name)), None)
    shape = known_shape(name)
    if own is None and shape is None:
        where = facts.source if not facts.ollama.running else "the server"
        msg = (
            f"nothing is known of the model {name}: it is not on {where}; pull it, give "
            "--url, or describe it in --host-facts"
        )
        raise ConfigError(msg)
    found = own or shape
    assert found is not None  # noqa: S101 - one of them is there
    return found
