"""Finds the log of a server, by the way in which it is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.verifying.logs import Logged, read_log
from aegis_llm.bootstrap.verifying.verdict import Source
from aegis_llm.errors import ConfigError

_LARGEST = 64 << 20
_TIMEOUT_S = 10.0
_APART_S = 60.0  # a line of the start is written within moments of it
_LINES = "20000"

Found = tuple[Logged | None, str, Source]


def find_log(
    facts: Facts,
    tree: Tree,
    given: Path | None,
    run: Run,
    pid: int | None,
    started_at: float | None,
) -> Found:
    """Return what the log tells of the last start, and where that was read.

    A log whose last start is not that of the process is another server's, or an earlier one's.
    Unless it is given, or a container's own, a log is only read where that can be compared.

    Raises:
        ConfigError: The log that is given cannot be read.
    """
    if given is not None:
        return _judged(str(given), _given(given), started_at)
    if started_at is None and facts.ollama.installed != "docker":
        why = "without the process it cannot be told whose log is found; give --log FILE"
        return None, "", Source(name="log", found=False, what=why)
    tried = []
    for where, text in _places(facts, tree, run, pid):
        found = _judged(where, text, started_at)
        if found[0] is not None:
            return found
        tried.append(found[2].what)
    why = "; ".join(tried) or "no place of a log is known for this way of running; give --log FILE"
    return None, "", Source(name="log", found=False, what=why)


def _judged(where: str, text: str, started_at: float | None) -> Found:
    logged = read_log(text)
    if logged is None:
        why = f"{where} has no line `server config`; it is written when the server starts"
        return None, "", Source(name="log", found=False, what=why)
    if started_at is not None and logged.at is not None:
        late = logged.at - started_at
        if abs(late) > _APART_S:
            has = "ends before this server started" if late < 0 else "is of a later start"
            return None, "", Source(name="log", found=False, what=f"{where} {has}")
    return logged, where, Source(name="log", found=True, what=where)


def _given(path: Path) -> str:
    try:
        return _end(path)
    except OSError as exc:
        msg = f"the log {path} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from exc


def _end(path: Path) -> str:
    """Return the end of a file."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LARGEST))
        return file.read().decode(errors="replace")


def _places(facts: Facts, tree: Tree, run: Run, pid: int | None) -> Iterator[tuple[str, str]]:
    way, unit = facts.ollama.installed, facts.ollama.unit
    if way in ("systemd", "snap") and unit:
        for more in (["--grep", "server config|starting llama.server"], ["-n", _LINES]):
            try:
                said = run(["journalctl", "-u", unit, "-o", "cat", "--no-pager", *more])
            except CommandError:
                continue
            yield f"journalctl -u {unit}", said
            if "server config" in said:
                break
    if way == "docker" and unit and tree.here:
        yield f"docker logs {unit}", _both(["docker", "logs", "--tail", _LINES, unit])
    for path in _paths(facts, tree, pid):
        try:
            yield str(path), _end(path)
        except OSError:
            continue


def _paths(facts: Facts, tree: Tree, pid: int | None) -> Iterator[Path]:
    for stream in (2, 1) if tree.here and pid is not None else ():
        written = Path(f"/proc/{pid}/fd/{stream}")
        try:
            if written.is_file():  # no pipe, no terminal
                shown = written.resolve()
                yield shown if shown.is_file() else written
        except OSError:
            break
    if facts.ollama.installed in ("systemd", "docker", "kubernetes", "snap"):
        return
    if local := os.environ.get("LOCALAPPDATA") if facts.os == "windows" else None:
        yield Path(local) / "Ollama" / "server.log"
    home = str(Path.home()) if tree.here else "/root"
    yield tree.at(f"{home}/.ollama/logs/server.log")
    yield tree.at("/opt/homebrew/var/log/ollama.log")
    yield tree.at("/usr/local/var/log/ollama.log")


def _both(argv: list[str]) -> str:
    """Return what a command prints on both streams: a container's log is on its stderr."""
    try:
        done = subprocess.run(  # noqa: S603 - a list that is written here, no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout[-_LARGEST:].decode(errors="replace")
