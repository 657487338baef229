"""`aegis-llm verify`: whether the settings of an Ollama are in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aegis_llm.bootstrap.doctor import configured
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.verifying import (
    MOST_AT_ONCE,
    Measured,
    Verification,
    announced,
    chosen_model,
    verify,
)
from aegis_llm.cli_bootstrap import exits
from aegis_llm.cli_bootstrap.given import facts_of
from aegis_llm.cli_bootstrap.lint import read_settings
from aegis_llm.cli_parts import console, refuse
from aegis_llm.config.go_values import FOREVER, shown
from aegis_llm.errors import ConfigError

_STYLES = {"in force": "green", "not in force": "red", "cannot tell": "yellow"}
_aside = Console(stderr=True)


def verify_command(
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="KEY=VALUE (KEY= for unset), else what is configured."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A drop-in, env file or compose file instead.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Send short requests too; it says which.")
    ] = False,
    at_once: Annotated[
        int, typer.Option(min=2, max=64, help="Of them so many at a time, at most.")
    ] = MOST_AT_ONCE,
    model: Annotated[
        str | None, typer.Option(help="The model they go to; else one that is loaded.")
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="Unload it first, to time how it loads.")
    ] = False,
    log: Annotated[Path | None, typer.Option(help="The server's log; else it is found.")] = None,
    url: Annotated[str | None, typer.Option(help="The Ollama; else OLLAMA_HOST.")] = None,
    root: Annotated[Path, typer.Option(help="Where the files of its machine are.")] = Path("/"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say for each setting whether it is in force, and why it is not.

    It reads the server's log, its process, the llama-server of each model and the loaded models,
    whatever of these can be had. Nothing is changed; only --deep sends requests.

    Exit status: 0 when no setting was found not to be in force, 3 when one was, 1 when the server
    does not answer, 2 when something that was given is not usable.
    """
    try:
        environment, _ = read_settings(settings, file)
        facts = facts_of(url=url, root=root)
        environment = environment or configured(facts, root)
        if deep:
            _announce(facts, model, at_once)
        seen = verify(
            facts, environment, url=url, deep=deep, root=root, log=log, model=model,
            most=at_once, reload=reload, tell=_tell,
        )  # fmt: skip
    except ConfigError as exc:
        refuse(f"{exc}.")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(seen), indent=2).decode())
    else:
        show(seen)
    if not seen.in_force:
        raise typer.Exit(exits.NOT_SO)
    if not seen.answers:
        raise typer.Exit(exits.FAILED)


def _announce(facts: Facts, model: str | None, at_once: int) -> None:
    name = chosen_model(facts, model)
    if name is not None:
        _tell(announced(name, at_once, facts))


def _tell(text: str) -> None:
    _aside.print(text, style="dim", highlight=False, markup=False)


def show(seen: Verification) -> None:
    """Print verdicts as a table, what requests have shown, and what was looked at."""
    about = f"Ollama {seen.version}" if seen.version else "Ollama"
    console.print(f"{about} at {seen.url}", highlight=False, markup=False)
    if not seen.answers:
        console.print("It does not answer.", style="red")
    if not seen.verdicts:
        console.print("No setting is configured or was given; write KEY=VALUE.")
    else:
        console.print(verdicts(seen))
    if seen.measured is not None:
        for line in measured(seen.measured):
            console.print(f"- {line}", highlight=False, markup=False)
    console.print("\nLooked at:", style="dim")
    for source in seen.sources:
        what = source.what if source.found else f"nothing: {source.what}"
        console.print(f"- {source.name}: {what}", style="dim", highlight=False, markup=False)


def verdicts(seen: Verification) -> Table:
    """Return the verdicts as a table."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("setting", overflow="fold", ratio=2)
    table.add_column("evidence, and what to do", overflow="fold", ratio=3)
    for one in seen.verdicts:
        style = _STYLES[one.state]
        lines = list(one.evidence) if one.state != "cannot tell" else []
        if one.state != "in force":
            lines = [f"{one.why}.", *lines, *([f"→ {one.do}"] if one.do else [])]
        table.add_row(
            f"[{style}]{one.state}[/]", escape(f"{one.name}={one.wanted}"),
            escape("\n".join(lines)),
        )  # fmt: skip
    return table


def measured(found: Measured) -> list[str]:
    """Return what requests have shown, a line each."""
    lines = []
    if found.error:
        lines.append(f"The requests ended early: {found.error}.")
    if found.slots is not None:
        rounds = ", ".join(f"{one.at_once} of {one.sent}" for one in found.rounds)
        sure = "" if found.sure else ", and perhaps more"
        lines.append(f"{found.model} answers {found.slots} at once{sure} (by rounds: {rounds}).")
    if found.keep_alive_s is not None:
        stays = found.keep_alive_s
        how = "for ever" if stays == FOREVER else shown(round(stays))
        lines.append(f"After a request it stays loaded: {how}.")
    if found.cold_load_s is not None:
        lines.append(f"To load it took {found.cold_load_s:.2f} s.")
    if found.warm_load_s is not None:
        lines.append(f"Loaded, a request spends {1000 * found.warm_load_s:.1f} ms on that.")
    return lines
