"""Runs a command of the system for what it prints: no shell, a time limit, never a traceback."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from typing import Protocol

_TIMEOUT_S = 5.0
_LAST_WAIT_S = 1.0
_LARGEST = 4 << 20


class CommandError(Exception):
    """A command gave nothing to use; the message is the reason."""


class Run(Protocol):
    """Runs a command and returns what it prints.

    Raises:
        CommandError: There is no such command, it fails, hangs, or prints no text.
    """

    def __call__(self, argv: Sequence[str]) -> str:
        """Run it."""
        ...


def run_command(argv: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> str:
    """Run a command of this machine; see `Run`."""
    name = argv[0]
    program = shutil.which(name)
    if program is None:
        msg = f"there is no {name} here"
        raise CommandError(msg)
    try:
        # The program is one of a few that are written in this package, never what a user typed.
        process = subprocess.Popen(  # noqa: S603 - a list, no shell
            [program, *argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", "LANGUAGE": "C"},
            start_new_session=True,
        )
    except (OSError, ValueError) as exc:
        msg = f"{name} cannot be run: {exc}"
        raise CommandError(msg) from None
    try:
        printed, said = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _give_up(process)
        msg = f"{name} did not answer within {timeout_s:g} s"
        raise CommandError(msg) from None
    if process.returncode:
        why = _first_line(said or printed) or f"exit status {process.returncode}"
        msg = f"{name} failed: {why}"
        raise CommandError(msg)
    return printed[:_LARGEST].decode(errors="replace")


def _give_up(process: subprocess.Popen[bytes]) -> None:
    """End a command without waiting for it: one that hangs in a driver cannot even be killed."""
    try:
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group: what it started ends with it
    except (AttributeError, OSError):  # Windows has no groups
        process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_WAIT_S)


def no_commands(argv: Sequence[str]) -> str:
    """Refuse: commands would speak of this machine, not of the one whose files are read."""
    msg = f"{argv[0]} is not run for the files of another machine"
    raise CommandError(msg)


def _first_line(raw: bytes) -> str:
    lines = [line.strip() for line in raw.decode(errors="replace").splitlines()]
    return next((line for line in lines if line), "")[:200]
