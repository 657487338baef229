"""How Ollama is installed on a machine, and what environment its server has."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from aegis_llm.bootstrap.facts import Os, Unknown, Way
from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.containers import Container, container_of
from aegis_llm.bootstrap.probing.environment import kept
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.probing.processes import (
    DEFAULT_PORT,
    Process,
    linux_processes,
    other_processes,
    serving,
)
from aegis_llm.bootstrap.probing.units import Unit, of_user, unit_of

_BINARIES = ("/usr/local/bin/ollama", "/usr/bin/ollama", "/bin/ollama", "/opt/ollama/bin/ollama")
_PLIST = "homebrew.mxcl.ollama.plist"
_BREWS = ("/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew")
_APP = "/Applications/Ollama.app"
_VERSION = re.compile(r"(?:client version|ollama version) is (\S+)")


@dataclass(kw_only=True)
class Found:
    """What is known of the server without asking it.

    Attributes:
        environment: Only variables that concern inference.
        host: `OLLAMA_HOST` as the server has it.
    """

    way: Way | None = None
    unit: str | None = None
    user: str | None = None
    environment: dict[str, str] | None = None
    source: str | None = None
    files: tuple[str, ...] = ()
    process: Process | None = None
    container: Container | None = None
    models_dir: str | None = None
    host: str | None = None
    unknown: list[Unknown] = field(default_factory=list)


def installed(
    tree: Tree,
    run: Run,
    system: Os | None,
    *,
    port: int | None,
    around: Mapping[str, str],
    psutil: Any = None,
) -> Found:
    """Return how the server of a port was installed; None for the port: the only one.

    Args:
        tree: The files of the machine.
        run: Runs a command.
        system: Its OS.
        port: Of the server's address.
        around: The variables of this process; they tell of Kubernetes.
        psutil: The module, where there is no `/proc`.
    """
    if system == "linux":
        found = _on_linux(tree, run, port, around)
    else:
        seen = list(other_processes(psutil)) if psutil is not None and tree.here else []
        found = _on_mac(tree, serving(seen, port)) if system == "macos" else Found()
        if system == "windows":
            found = _on_windows(tree, serving(seen, port), around)
        container = container_of(run, port or DEFAULT_PORT) if found.process is None else None
        if container is not None:
            found = Found(way="docker", container=container)
            _contained(found, container)
    _complete(tree, found)
    return found


def client_version(run: Run) -> str:
    """Return what `ollama --version` says.

    Raises:
        CommandError: There is no such command, or it says something else.
    """
    said = _VERSION.search(run(["ollama", "--version"]))
    if said is None:
        msg = "`ollama --version` tells no version"
        raise CommandError(msg)
    return said[1]


def _on_linux(tree: Tree, run: Run, port: int | None, around: Mapping[str, str]) -> Found:
    seen = list(linux_processes(tree, port))
    process = serving(seen, port)
    inside = process.container if process else None
    container = None
    if inside is not None or process is None:
        container = container_of(run, port or DEFAULT_PORT, inside)
    unit = None if container is not None or inside is not None else unit_of(tree, run)
    found = Found(process=process, container=container, user=process.user if process else None)
    found.way = _way(tree, process, container, unit, around)
    own = of_user(tree, process.groups) if process and found.way == "manual" else None
    if own is not None:
        found.way, found.unit, found.files = "systemd", *own
        unit = None
    if port is None and process is not None and len(seen) > 1:
        others = ", ".join(str(one.pid) for one in seen if one is not process)
        why = f"several servers run here; process {process.pid} was taken, not {others}"
        found.unknown.append(Unknown(what="ollama.url", why=why, give="give one with --url"))
    if container is not None:
        _contained(found, container)
    elif unit is not None and found.way in {"systemd", "snap"}:
        found.unit, found.files = unit.name, unit.files
        found.user = found.user or unit.user or "root"
        if not unit.unreadable:
            found.environment, found.source = unit.environment, f"unit {unit.name}"
    elif found.way == "kubernetes":
        found.unit = around.get("HOSTNAME")
    elif inside is not None:
        found.unit = inside[:12]
    if process is not None and process.environment is not None:
        found.environment, found.source = process.environment, f"process {process.pid}"
    return found


def _contained(found: Found, container: Container) -> None:
    found.unit, found.files = container.name, container.files
    found.environment, found.source = container.environment, f"container {container.name}"


def _way(
    tree: Tree,
    process: Process | None,
    container: Container | None,
    unit: Unit | None,
    around: Mapping[str, str],
) -> Way | None:
    """Return how the server came there; what the process shows is stronger than files."""
    groups = process.groups if process else ""
    # In a container of Ollama it is what the container was made for; in another one a person's.
    boxed = tree.has("/.dockerenv") or tree.has("/run/.containerenv")
    here = boxed and "ollama" in (tree.text("/proc/1/cmdline") or "")
    program = process.program if process else ""
    # The service of a user may have the name of the system's.
    of_unit = bool(unit) and (
        process is None
        or process.pid == unit.pid
        or (f"/{unit.name}" in groups and "/user.slice/" not in groups)
        if unit
        else False
    )
    if "kubepods" in groups or (process and here and "KUBERNETES_SERVICE_HOST" in around):
        return "kubernetes"
    if container is not None or (process is not None and process.container):
        return "docker"
    if program.startswith("/snap/") or (of_unit and unit and unit.name.startswith("snap.")):
        return "snap"
    if of_unit:
        return "systemd"
    if "/.linuxbrew/" in program or "/Cellar/" in program:
        return "homebrew"
    if process is not None:
        return "docker" if here else "manual"
    if any(tree.has(path) for path in _BINARIES):
        return "docker" if here else "manual"
    return "snap" if tree.has("/snap/ollama") else None


def _on_mac(tree: Tree, process: Process | None) -> Found:
    program = process.program if process else ""
    brew = any(tree.has(f"{prefix}/opt/ollama") for prefix in _BREWS)
    found = Found(process=process, user=process.user if process else None)
    if "Ollama.app" in program or (process is None and tree.has(_APP)):
        found.way = "macos-app"
    elif "/Cellar/" in program or "/opt/ollama/" in program or (process is None and brew):
        found.way = "homebrew"
    elif process is not None:
        found.way = "manual"
    if process is not None and process.environment is not None:
        found.environment, found.source = process.environment, f"process {process.pid}"
    if found.way == "homebrew":
        homes = [*tree.matching("/Users", f"*/Library/LaunchAgents/{_PLIST}")]
        kegs = [f"{prefix}/opt/ollama/{_PLIST}" for prefix in _BREWS]
        found.files = tuple(path for path in [*kegs, *homes] if tree.has(path))
        found.unit = "homebrew.mxcl.ollama"
        if found.environment is None and found.files:
            found.environment = _plist_environment(tree, found.files[-1])
            found.source = found.files[-1]
    return found


def _on_windows(tree: Tree, process: Process | None, around: Mapping[str, str]) -> Found:
    del tree  # a drive's letter is no path below a root
    programs = Path(around.get("LOCALAPPDATA", "/"), "Programs", "Ollama")
    found = Found(process=process, user=process.user if process else None)
    found.way = "windows" if process is not None or programs.exists() else None
    if process is not None and process.environment is not None:
        found.environment, found.source = process.environment, f"process {process.pid}"
    return found


def _plist_environment(tree: Tree, path: str) -> dict[str, str] | None:
    try:
        listed = plistlib.loads((tree.text(path) or "").encode())
        return {str(key): str(one) for key, one in listed["EnvironmentVariables"].items()}
    except (plistlib.InvalidFileException, ExpatError, LookupError, AttributeError, ValueError):
        return None


def _complete(tree: Tree, found: Found) -> None:
    """Keep of the environment what concerns inference, and say what could not be found."""
    whole = found.environment
    if whole is not None:
        found.host = kept(whole).get("OLLAMA_HOST")
        found.models_dir = whole.get("OLLAMA_MODELS") or _default_models(tree, found, whole)
        found.environment = kept(whole)
        return
    if found.way is None:
        give = "install Ollama here, or give ollama.installed in a fact file"
        why = "there is no process, unit, container or program of Ollama to be seen"
        found.unknown.append(Unknown(what="ollama.installed", why=why, give=give))
    elif found.process is not None:
        why = f"the environment of process {found.process.pid} is readable by its user and root"
        give = "run it as root: sudo aegis-llm probe"
        found.unknown.append(Unknown(what="ollama.environment", why=why, give=give))
    else:
        why = "no server runs, and no file says what it will have"
        give = "start Ollama, or give ollama.environment in a fact file"
        found.unknown.append(Unknown(what="ollama.environment", why=why, give=give))


def _default_models(tree: Tree, found: Found, environment: Mapping[str, str]) -> str | None:
    home = environment.get("HOME") or environment.get("USERPROFILE")
    if home is None and found.way == "docker":
        home = "/root"
    if home is None and found.user:
        for line in (tree.text("/etc/passwd") or "").splitlines():
            fields = line.split(":")
            if len(fields) > 5 and fields[0] == found.user:
                home = fields[5]
    return None if home is None else f"{home.rstrip('/')}/.ollama/models"
