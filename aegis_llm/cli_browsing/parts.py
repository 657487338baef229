"""What the commands that look at a namespace share."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer

from aegis_llm.browsing import Browser
from aegis_llm.cli_parts import aside, console, refuse, sentences
from aegis_llm.config import AegisConfig, safe_url
from aegis_llm.errors import ConfigError, StoreTrouble
from aegis_llm.explanation.words import in_words, printable

Metrics = Annotated[
    str | None,
    typer.Option(help="Metrics endpoint of a process that serves, http://HOST:PORT/metrics."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def config_of(redis_url: str | None, namespace: str | None) -> AegisConfig:
    """Return the settings that the options and the environment give."""
    given = {"redis_url": redis_url, "namespace": namespace}
    config = AegisConfig.from_env()
    return config.with_options(**{k: v for k, v in given.items() if v is not None})


@contextmanager
def browsing(redis_url: str | None, namespace: str | None) -> Iterator[Browser]:
    """Open a namespace; what goes wrong is a sentence, and exit status 1 (2: what was given)."""
    with sentences():
        try:
            config = config_of(redis_url, namespace)
            browser = Browser(config)
        except ConfigError as exc:
            refuse(f"{exc}.")
        try:
            yield browser
        except ConfigError as exc:
            refuse(f"{exc}.")
        except StoreTrouble as exc:
            where = safe_url(config.cache.redis_url)
            detail = str(exc).removeprefix(exc.reason).replace(": ", "; ", 1)
            warn(f"Redis at {where}: {exc.reason} ({in_words(exc.reason)}){detail}.", style="red")
            raise typer.Exit(1) from None
        finally:
            browser.close()


@contextmanager
def to_the_end(sentence: str) -> Iterator[None]:
    """Say how it stands when Redis stops answering on the way."""
    try:
        yield
    except StoreTrouble:
        warn(sentence)
        raise


def where(browser: Browser) -> str:
    """Return which namespace is meant, for a person."""
    return f"{browser.namespace} at {safe_url(browser.service.rules.cache.redis_url)}"


def agree(question: str, *, yes: bool) -> None:
    """Ask before something is deleted; where nobody can be asked, `--yes` has to say so."""
    if yes:
        return
    try:
        if not _at_terminal():
            raise typer.Abort
        typer.confirm(question, abort=True, err=True)
    except typer.Abort:
        warn("Nothing was changed; --yes does it without asking.")
        raise typer.Exit(1) from None


def _at_terminal() -> bool:
    """Return whether a person answers; what comes by a pipe is no answer of one."""
    return sys.stdin.isatty()


def say(sentence: str) -> None:
    """Print a sentence as it is."""
    console.print(printable(sentence), markup=False, highlight=False, soft_wrap=True)


def warn(sentence: str, style: str = "yellow") -> None:
    """Print a sentence beside the result."""
    aside.print(printable(sentence), style=style, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print data as indented JSON; what could tell a terminal something is escaped."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    typer.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))
