"""`aegis-llm doctor`: what to fix first."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from aegis_llm.bootstrap.doctor import Checkup, RedisSeen, examine
from aegis_llm.cli_bootstrap import exits
from aegis_llm.cli_bootstrap.lint import STYLES
from aegis_llm.cli_parts import console, refuse, sentences
from aegis_llm.errors import ConfigError

_GIB = 1 << 30


def doctor(
    url: Annotated[str | None, typer.Option(help="The Ollama; else OLLAMA_HOST.")] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Where the answers are; else AEGIS_REDIS_URL.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Whose answers; else AEGIS_NAMESPACE.")
    ] = None,
    root: Annotated[Path, typer.Option(help="Where the files of the machine are.")] = Path("/"),
    log: Annotated[Path | None, typer.Option(help="Ollama's log; else it is found.")] = None,
    no_redis: Annotated[bool, typer.Option("--no-redis", help="Leave Redis out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at Ollama, its settings and Redis, and say what to fix first.

    Nothing is changed. In Redis each command that the cache uses is tried on keys of its own,
    which go within a second.

    Exit status: 0 when there is nothing but notes, 3 when there is an error or a warning (a
    server that is down is one), 2 when something that was given is not usable.
    """
    with sentences():
        try:
            found = examine(
                url=url, redis_url=redis_url, namespace=namespace, root=root, log=log,
                redis=not no_redis,
            )  # fmt: skip
        except ConfigError as exc:
            refuse(f"{exc}.")
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        show(found)
    if not found.healthy:
        raise typer.Exit(exits.NOT_SO)


def show(found: Checkup) -> None:
    """Print what was looked at, and the problems as a table."""
    ollama = found.facts.ollama
    version = f"Ollama {ollama.version or 'of unknown version'}"
    how = f", {ollama.installed}" if ollama.installed else ""
    console.print(f"{version} at {ollama.url}{how}", highlight=False, markup=False)
    if found.redis is not None:
        console.print(_redis(found.redis), highlight=False, markup=False)
    verdicts = found.verification.verdicts if found.verification is not None else ()
    if verdicts:
        states = [one.state for one in verdicts]
        told = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
        console.print(f"Settings: {', '.join(told)}", highlight=False)
    if not found.problems:
        console.print("Nothing is wrong.")
        return
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("where", no_wrap=True)
    table.add_column("what is so, and what to do", overflow="fold", ratio=1)
    for number, one in enumerate(found.problems, start=1):
        style = STYLES[one.level]
        table.add_row(
            str(number), f"[{style}]{one.level}[/]", one.area,
            f"{escape(one.what)}.\n→ {escape(one.fix)}",
        )  # fmt: skip
    console.print(table)


def _redis(seen: RedisSeen) -> str:
    if not seen.answers:
        return f"Redis at {seen.url}: does not answer"
    parts = [f"Redis {seen.version or 'of unknown version'} at {seen.url}"]
    if seen.latency_s is not None:
        parts.append(f"replies in {1000 * seen.latency_s:.2f} ms")
    if seen.used is not None:
        limit = f" of {seen.maxmemory / _GIB:.2f} GiB" if seen.maxmemory else ""
        parts.append(f"{seen.used / _GIB:.2f} GiB{limit} used")
    if seen.indexes is not None:
        parts.append(f"semantic indexes: {len(seen.indexes)}")
    return ", ".join(parts)
