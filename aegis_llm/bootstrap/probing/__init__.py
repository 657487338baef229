"""Finds out what a machine, its Ollama and its models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.fact_file import read_facts
from aegis_llm.bootstrap.probing.machine import address, look, with_server
from aegis_llm.bootstrap.probing.strays import strays

__all__ = ["CommandError", "Run", "address", "probe", "read_facts", "strays", "with_server"]


def probe(
    url: str | None = None,
    *,
    root: Path = Path("/"),
    models: Sequence[str] = (),
    run: Run | None = None,
    around: Mapping[str, str] | None = None,
    timeout_s: float = 5.0,
) -> Facts:
    """Return what can be found out; what cannot is listed as unknown, with what to do.

    It needs no rights, changes nothing, loads no model, and never fails because a command or the
    server does. Nothing of this machine is said about a server on another one.

    Args:
        url: The server; None: the one of this machine, by `OLLAMA_HOST` or its own environment.
        root: Where the files of the machine are; with another root than `/` no command is run and
            no server asked but `url`.
        models: Those to look at; empty: all.
        run: Runs the commands, for tests.
        around: The environment of this process; None: `os.environ`, with root `/`.
        timeout_s: The longest that one answer of the server may take.

    Raises:
        ConfigError: The address is not usable.
    """
    return look(url, root, models, run=run, around=around, timeout_s=timeout_s)
