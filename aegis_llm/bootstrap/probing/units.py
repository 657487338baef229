"""Systemd's unit files of Ollama: what they set, read as systemd reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.environment import of_pairs, of_shell
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.rendering.systemd import service_lines, words

UNIT = "ollama.service"
_FOLDERS = (
    "/usr/lib/systemd/system", "/lib/systemd/system", "/usr/local/lib/systemd/system",
    "/run/systemd/system", "/etc/systemd/system",
)  # fmt: skip
"""The strongest last."""
_USER_FOLDERS = (
    "/etc/systemd/user", "/run/systemd/user", "/usr/local/lib/systemd/user",
    "/usr/lib/systemd/user", "/lib/systemd/user",
)  # fmt: skip
_ASKED = "LoadState,FragmentPath,DropInPaths,Environment,EnvironmentFiles,User,MainPID"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A service and what its files say.

    Attributes:
        name: Of the unit.
        files: The unit and its drop-ins, the strongest last.
        environment: All variables; only `environment.kept` of it may be shown.
        user: Who runs it; None: root.
        pid: Its process.
        unreadable: Files that are not to be read without other rights.
    """

    name: str
    files: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    pid: int | None = None
    unreadable: tuple[str, ...] = ()


def unit_of(tree: Tree, run: Run) -> Unit | None:
    """Return the service as the running systemd knows it, else as its files say; None: none."""
    for name in (UNIT, *_snaps(tree)):
        found = _shown(tree, run, name) or _read(tree, name)
        if found is not None:
            return found
    return None


def of_user(tree: Tree, groups: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the service of the present user that a process runs in, and its file; None: none.

    Only one with Ollama's name: a server that a person started in a notebook runs in its service.
    """
    inside = re.search(
        r"/user@(\d+)\.service/(?:.*/)?([^/\n]*ollama[^/\n]*\.service)$", groups, re.M
    )
    if inside is None or int(inside[1]) != os.getuid():
        return None
    home = Path.home()
    config = os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    places = (f"{config}/systemd/user", *_USER_FOLDERS, f"{home}/.local/share/systemd/user")
    files = (f"{folder}/{inside[2]}" for folder in places)
    return next(((inside[2], (file,)) for file in files if tree.has(file)), None)


def assignments(text: str, *, specifiers: bool = True) -> list[str]:
    """Return the `NAME=value` texts in the value of `Environment=`, without their quotes.

    In a file `%%` stands for `%` (`specifiers`); what systemd itself shows has it undone.
    """
    return [word.replace("%%", "%") if specifiers else word for word in words(text)]


def _snaps(tree: Tree) -> list[str]:
    found = tree.matching("/etc/systemd/system", "snap.ollama.*.service")
    return [path.rpartition("/")[2] for path in found]


def _shown(tree: Tree, run: Run, name: str) -> Unit | None:
    """Ask systemd."""
    try:
        said = run(["systemctl", "show", name, "--no-pager", "-p", _ASKED])
    except CommandError:
        return None
    fields = dict(line.partition("=")[::2] for line in said.splitlines())
    if fields.get("LoadState") != "loaded" or not fields.get("FragmentPath"):
        return None
    files = (fields["FragmentPath"], *fields.get("DropInPaths", "").split())
    environment = of_pairs(assignments(fields.get("Environment", ""), specifiers=False))
    # `EnvironmentFiles=/etc/default/ollama (ignore_errors=yes)`, one line for each file.
    listed = re.findall(r"^EnvironmentFiles=(\S+)", said, re.MULTILINE)
    extra, unreadable = _env_files(tree, listed)
    pid = fields.get("MainPID", "")
    return Unit(
        name=name,
        files=files,
        environment=environment | extra,
        user=fields.get("User") or None,
        pid=int(pid) if pid.isdigit() and int(pid) else None,
        unreadable=unreadable,
    )


def _read(tree: Tree, name: str) -> Unit | None:
    """Read the files of a unit: the strongest of its name, then its drop-ins by their names."""
    main = [f"{folder}/{name}" for folder in _FOLDERS if tree.has(f"{folder}/{name}")]
    if not main:
        return None
    dropped: dict[str, str] = {}
    for folder in _FOLDERS:
        for path in tree.matching(f"{folder}/{name}.d", "*.conf"):
            dropped[path.rpartition("/")[2]] = path
    files = (main[-1], *(dropped[one] for one in sorted(dropped)))
    environment: dict[str, str] = {}
    listed: list[str] = []
    user = None
    unreadable = []
    for path in files:
        text = tree.text(path)
        if text is None:
            unreadable.append(path)
        for key, value in service_lines(text or ""):
            if key == "Environment":
                environment = environment | of_pairs(assignments(value)) if value else {}
            elif key == "EnvironmentFile":
                listed = [*listed, value.lstrip("-")] if value else []
            elif key == "User":
                user = value or None
    extra, more = _env_files(tree, listed)
    return Unit(
        name=name,
        files=files,
        environment=environment | extra,
        user=user,
        unreadable=(*unreadable, *more),
    )


def _env_files(tree: Tree, paths: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what the files of `EnvironmentFile=` set, and which cannot be read."""
    found: dict[str, str] = {}
    unreadable = []
    for path in paths:
        text = tree.text(path)
        if text is not None:
            found |= of_shell(text)
        elif tree.has(path):
            unreadable.append(path)
    return found, tuple(unreadable)
