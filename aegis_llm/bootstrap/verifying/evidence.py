"""What was seen of a running server, before it is judged. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aegis_llm.bootstrap.facts import Loaded
from aegis_llm.bootstrap.verifying.verdict import Measured, Source


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """A llama-server that Ollama started: the ground truth for what a model runs with.

    Before 0.30 it is Ollama itself, as a runner; of those the older ones have the same flags.

    Attributes:
        where: What showed it: `process 123`, `the log`.
        context: Tokens of all slots together.
        flash: `on`, `off` or `auto`.
        runner: Whether it is a runner of before 0.30.
        embeds: Whether it makes embeddings; it has one slot then.
        environment: Its variables; None: not readable.
    """

    where: str
    context: int | None = None
    slots: int | None = None
    flash: str | None = None
    keys: str | None = None
    threads: int | None = None
    runner: bool = False
    embeds: bool = False
    environment: dict[str, str] | None = None

    @property
    def kind(self) -> str:
        """Return the type of its cache; what Ollama does not say, a variable may."""
        return self.keys or (self.environment or {}).get("LLAMA_ARG_CACHE_TYPE_K") or "f16"


class FileSays(msgspec.Struct, frozen=True, kw_only=True):
    """What one configuration file sets.

    Attributes:
        changed_at: Seconds since 1970; None: not known.
    """

    path: str
    environment: dict[str, str]
    changed_at: float | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen.

    Attributes:
        log: The configuration that the server logged when it started; None: not seen.
        log_where: Where that was read.
        process: The variables of the server's process; None: not readable.
        started_at: When the process started, seconds since 1970.
        files: Configuration files, the strongest last.
        strays: Variables in files that a service does not read, by file.
        caller: Variables of the shell that asks.
        refreshed: Whether `loaded` was asked for just now.
    """

    answers: bool = False
    version: str | None = None
    log: dict[str, str] | None = None
    log_where: str = ""
    process: dict[str, str] | None = None
    pid: int | None = None
    started_at: float | None = None
    children: tuple[Child, ...] = ()
    loaded: tuple[Loaded, ...] = ()
    files: tuple[FileSays, ...] = ()
    strays: dict[str, dict[str, str]] = {}
    caller: dict[str, str] = {}
    measured: Measured | None = None
    sources: tuple[Source, ...] = ()


_FLAGS = {
    "-c": "context",
    "--ctx-size": "context",
    "-np": "slots",
    "--parallel": "slots",
    "--flash-attn": "flash",
    "-fa": "flash",
    "--cache-type-k": "keys",
    "-ctk": "keys",
    "--kv-cache-type": "keys",
    "-t": "threads",
    "--threads": "threads",
}


def child_of(
    words: Sequence[str], where: str, environment: dict[str, str] | None = None
) -> Child | None:
    """Return what a command line of a model's process says; None: it is another program's."""
    program = words[0].replace("\\", "/").rpartition("/")[2] if words else ""
    program = program.removesuffix(".exe")
    runner = program == "ollama" and len(words) > 1 and words[1] == "runner"
    if program != "llama-server" and not runner:
        return None
    found: dict[str, str] = {}
    for flag, value in zip(words, [*words[1:], ""], strict=True):
        if flag in _FLAGS:
            found[_FLAGS[flag]] = value
    return Child(
        where=where,
        context=_number(found.get("context")),
        slots=_number(found.get("slots")),
        flash=_flash(found.get("flash"), runner=runner, told="slots" in found),
        keys=found.get("keys"),
        threads=_number(found.get("threads")),
        runner=runner,
        embeds="--embedding" in words or "--embeddings" in words,
        environment=environment,
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None


def _flash(value: str | None, *, runner: bool, told: bool) -> str | None:
    """Return the mode; for a runner the flag stands without a value, and unset is off."""
    if not runner:
        return value
    if value is not None:
        return "on"
    return "off" if told else None
