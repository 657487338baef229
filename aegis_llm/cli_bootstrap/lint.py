"""`aegis-llm lint`: what is wrong with the settings of an Ollama."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.linting import Finding, environment_of, lint
from aegis_llm.cli_bootstrap import exits
from aegis_llm.cli_bootstrap.given import facts_of
from aegis_llm.cli_parts import console, refuse
from aegis_llm.errors import ConfigError

STYLES = {"error": "red", "warning": "yellow", "note": "dim"}


class Linted(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints; fields are added, never renamed, while `v` stays 1.

    Attributes:
        source: Where the settings are from.
        version: Of Ollama; None: not known.
    """

    v: Literal[1] = 1
    source: str
    version: str | None
    findings: tuple[Finding, ...]


def lint_command(
    settings: Annotated[
        list[str] | None, typer.Argument(help="KEY=VALUE, else what the server runs with.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="A drop-in, env file, compose file, manifest or script instead."),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--ollama-version", help="Else that of the server.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The Ollama; else OLLAMA_HOST.")] = None,
    root: Annotated[Path, typer.Option(help="Where the files of the machine are.")] = Path("/"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find settings of Ollama that are dead, misspelt, misread, or at odds with each other.

    Exit status: 0 when there is nothing but notes, 3 when there is an error or a warning, 1 when
    the settings of the server cannot be read, 2 when something that was given is not usable.
    """
    try:
        environment, source = read_settings(settings, file)
        # With a version and settings in hand, nothing has to be asked.
        known = bool(environment and version)
        facts = None if known else facts_of(url=url, root=root)
    except ConfigError as exc:
        refuse(f"{exc}.")
    if facts is not None:
        version = version or facts.ollama.version
    if not environment:
        environment, source = _of_server(facts)
    linted = Linted(
        source=source, version=version, findings=lint(environment, version, facts=facts)
    )
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(linted), indent=2).decode())
    else:
        show(linted)
    if any(one.level != "note" for one in linted.findings):
        raise typer.Exit(exits.NOT_SO)


def read_settings(settings: list[str] | None, file: Path | None) -> tuple[dict[str, str], str]:
    """Return the settings that were given as arguments or in a file; empty when none were.

    Raises:
        ConfigError: Both were given, one is no KEY=VALUE, or the file is not usable.
    """
    if settings and file is not None:
        msg = "give either settings or --file, not both"
        raise ConfigError(msg)
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            msg = f"{file} is no text in UTF-8"
            raise ConfigError(msg) from None
        except OSError as exc:
            msg = f"{file} cannot be read: {exc.strerror}"
            raise ConfigError(msg) from None
        return environment_of(text, str(file)), str(file)
    environment = {}
    for one in settings or ():
        name, equals, value = one.partition("=")
        if not equals or not name:
            msg = f"{one!r} is no setting; write KEY=VALUE, or --file for a file"
            raise ConfigError(msg)
        environment[name] = value
    return environment, "what was given"


def _of_server(facts: Facts | None) -> tuple[dict[str, str], str]:
    if facts is None or facts.ollama.environment is None:
        console.print(
            "The settings of the server cannot be read from here. Run this where it runs (with "
            "sudo, if need be), or give KEY=VALUE or --file.",
            style="red", markup=False, highlight=False,
        )  # fmt: skip
        raise typer.Exit(exits.FAILED)
    return facts.ollama.environment, facts.ollama.environment_source or "the server"


def show(linted: Linted) -> None:
    """Print findings as a table."""
    about = f"Ollama {linted.version}" if linted.version else "Ollama of unknown version"
    console.print(f"Settings from {linted.source}, for {about}.", highlight=False, markup=False)
    if not linted.findings:
        console.print("Nothing is wrong with them.")
        return
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("level", no_wrap=True)
    table.add_column("setting", overflow="fold", ratio=2)
    table.add_column("what is so, and what to do", overflow="fold", ratio=3)
    for one in linted.findings:
        named = f"{one.variable}={one.value}" if one.value else one.variable
        style = STYLES[one.level]
        table.add_row(
            f"[{style}]{one.level}[/]", escape(named), f"{escape(one.what)}.\n→ {escape(one.do)}"
        )
    console.print(table)
