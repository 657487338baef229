"""The process of `ollama serve`: its environment, its user, and what it runs in."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aegis_llm.bootstrap.probing.environment import of_pairs
from aegis_llm.bootstrap.probing.files import Tree

DEFAULT_PORT = 11434


@dataclass(frozen=True, kw_only=True)
class Process:
    """One server that runs.

    Attributes:
        program: Its path, as it was started.
        groups: Its control groups, one a line.
        listens: Whether its user listens on the port that was asked for; None: not known.
        environment: All its variables; None: not readable without other rights.
    """

    pid: int
    program: str = ""
    groups: str = ""
    user: str | None = None
    listens: bool | None = None
    environment: dict[str, str] | None = None

    @property
    def container(self) -> str | None:
        """Return the id of the container that it runs in, as this machine sees it."""
        found = re.search(r"(?:docker|libpod)[-/]([0-9a-f]{12,64})", self.groups)
        return found[1] if found else None


def linux_processes(tree: Tree, port: int | None = None) -> Iterator[Process]:
    """Yield the servers that the files in `/proc` show."""
    listeners = _listeners(tree, DEFAULT_PORT if port is None else port)
    names = (name for name in tree.names("/proc") if name.isdigit())
    for name in sorted(names, key=int):
        words = (tree.text(f"/proc/{name}/cmdline") or "").split("\0")
        if serves(words):
            environment = tree.text(f"/proc/{name}/environ")
            uid = _uid(tree, name)
            yield Process(
                pid=int(name),
                program=words[0],
                groups=tree.text(f"/proc/{name}/cgroup") or "",
                user=_user(tree, uid),
                listens=None if listeners is None or uid is None else uid in listeners,
                # A process without any variable does not exist in practice: not readable.
                environment=of_pairs(environment.split("\0")) if environment else None,
            )


def other_processes(psutil: Any) -> Iterator[Process]:
    """Yield the servers that `psutil` shows, on systems without `/proc`."""
    for one in psutil.process_iter():
        words = _tried(psutil, one.cmdline) or []
        if serves(words):
            yield Process(
                pid=one.pid,
                program=words[0],
                user=_tried(psutil, one.username),
                environment=_tried(psutil, one.environ),
            )


def serves(words: list[str]) -> bool:
    """Return whether a command line is that of `ollama serve`."""
    if len(words) < 2 or words[1] != "serve":
        return False
    program = posixpath.basename(words[0].replace("\\", "/")).lower()
    return program in {"ollama", "ollama.exe"}


def port_of(host: str | None) -> int:
    """Return the port that `OLLAMA_HOST` means, by Ollama's own rules."""
    text = (host or "").strip().strip("\"'")
    scheme, separator, rest = text.partition("://")
    try:
        port = urlsplit(f"//{rest if separator else text}").port
    except ValueError:
        return DEFAULT_PORT
    if port is not None:
        return port
    return {"http": 80, "https": 443}.get(scheme, DEFAULT_PORT) if separator else DEFAULT_PORT


def serving(processes: list[Process], port: int | None) -> Process | None:
    """Return the process that listens on a port, by its environment; else the only one there is.

    Where several may be it, none is: another server's would be taken for it. The port that a
    container's process names is its own; the machine may have it under another one.
    None for the port: the one on Ollama's own port, else the first.
    """
    if port is None:
        return serving(processes, DEFAULT_PORT) or next(iter(processes), None)
    told = [one for one in processes if one.environment is not None]
    named = [one for one in told if port_of((one.environment or {}).get("OLLAMA_HOST")) == port]
    outside = [one for one in named if not one.container]
    if outside:
        return outside[0]
    silent = [one for one in processes if one.environment is None and one.listens is not False]
    inside = [one for one in told if one.container]
    for likely in (named, [*silent, *inside]):
        if likely:
            return likely[0] if len(likely) == 1 else None
    return None


def _uid(tree: Tree, pid: str) -> str | None:
    status = tree.text(f"/proc/{pid}/status") or ""
    number = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    return number[1] if number else None


def _user(tree: Tree, uid: str | None) -> str | None:
    for line in (tree.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == uid:
            return fields[0]
    return uid


def _listeners(tree: Tree, port: int) -> set[str] | None:
    """Return the numbers of the users who listen on a port; None: the kernel does not tell."""
    texts = [tree.text(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
    if texts == [None, None]:
        return None
    found = set()
    for text in texts:
        for line in (text or "").splitlines():
            # sl local_address rem_address st tx:rx tr:when retrnsmt uid ...
            fields = line.split()
            if len(fields) > 7 and fields[3] == "0A" and fields[1].endswith(f":{port:04X}"):
                found.add(fields[7])
    return found


def _tried(psutil: Any, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except (psutil.Error, OSError):
        return None
