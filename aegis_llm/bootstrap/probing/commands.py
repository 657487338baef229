"""Runs a command of the system for what it prints: no shell, a time limit, never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Protocol

_TIMEOUT_S = 5.0
_LARGEST = 4 << 20


class CommandError(Exception):
    """A command gave nothing to use; the message is the reason."""


class Run(Protocol):
    """Runs a command and returns what it prints.

    Raises:
        CommandError: There is no such command, it fails, hangs, or prints no text.
    """

    def __call__(self, argv: Sequence[str]) -> str: ...


def run_command(argv: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> str:
    """Run a command of this machine; see `Run`."""
    name = argv[0]
    try:
        # The program is one of a few that are written in this package, never what a user typed.
        done = subprocess.run(  # noqa: S603 - a list, no shell
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "LC_ALL": "C", "LANGUAGE": "C"},
        )
    except FileNotFoundError:
        msg = f"there is no {name} here"
        raise CommandError(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"{name} did not answer within {timeout_s:g} s"
        raise CommandError(msg) from None
    except (OSError, ValueError) as exc:
        msg = f"{name} cannot be run: {exc}"
        raise CommandError(msg) from None
    if done.returncode:
        said = done.stderr or done.stdout
        msg = f"{name} failed: {_first_line(said) or f'exit status {done.returncode}'}"
        raise CommandError(msg)
    return done.stdout[:_LARGEST].decode(errors="replace")


def no_commands(argv: Sequence[str]) -> str:
    """Refuse: commands would speak of this machine, not of the one whose files are read."""
    msg = f"{argv[0]} is not run for the files of another machine"
    raise CommandError(msg)


def _first_line(raw: bytes) -> str:
    lines = [line.strip() for line in raw.decode(errors="replace").splitlines()]
    return next((line for line in lines if line), "")[:200]
