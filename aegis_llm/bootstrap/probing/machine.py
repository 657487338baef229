"""Puts together what is found out of a machine, its Ollama and its models."""

from __future__ import annotations

import ipaddress
import os
import platform
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace

from aegis_llm.bootstrap.facts import Cpu, Facts, Gpu, Memory, Ollama, Os, Unknown
from aegis_llm.bootstrap.probing import graphics
from aegis_llm.bootstrap.probing.commands import CommandError, Run, no_commands, run_command
from aegis_llm.bootstrap.probing.cpus import linux_cpu
from aegis_llm.bootstrap.probing.elsewhere import cpu_of, memory_of, name_of, optional
from aegis_llm.bootstrap.probing.fact_file import is_given
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.probing.graphics import FILL_IN
from aegis_llm.bootstrap.probing.installed import Found, client_version, installed
from aegis_llm.bootstrap.probing.memories import Limits, linux_limits, linux_memory, within
from aegis_llm.bootstrap.probing.processes import port_of
from aegis_llm.bootstrap.probing.server import Asking, Told, told_by
from aegis_llm.config import safe_url

_DEFAULT_URL = "http://127.0.0.1:11434"
_SYSTEMS: dict[str, Os] = {"linux": "linux", "darwin": "macos", "win32": "windows"}
_TIMEOUT_S = 5.0
_REACHED = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound to
"""Where a server that listens on all addresses is reached."""


def look(
    url: str | None,
    root: Path,
    models: Sequence[str],
    *,
    run: Run | None = None,
    around: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Facts:
    """Return what can be found out; see `aegis_llm.bootstrap.probing.probe`."""
    tree = Tree(root)
    if run is None:
        run = run_command if tree.here else no_commands
    if around is None:
        around = os.environ if tree.here else {}
    url = _connectable(url or around.get("OLLAMA_HOST") or None)
    system = _system(tree)
    psutil = optional("psutil") if tree.here and system in {"macos", "windows"} else None
    if url is not None and tree.here and not is_local(_host(url)):
        return _remote(url, models, timeout_s)
    found = installed(
        tree,
        run,
        system,
        port=None if url is None else port_of(url),
        around=around,
        psutil=psutil,
    )
    asked = url or (address(found.host) if tree.here else None)
    told = _told(asked, models, timeout_s, tree)
    if told.version is None and tree.here:
        try:
            told.version = client_version(run)
            told.unknown = [one for one in told.unknown if one.what != "ollama.version"]
        except CommandError:
            pass  # the reason that the server gave is said already
    facts = _host_facts(tree, run, system, psutil, found)
    return replace(
        facts,
        ollama=_ollama(asked or found.host, found, told),
        models=tuple(told.models),
        loaded=tuple(told.loaded),
        unknown=(*facts.unknown, *found.unknown, *told.unknown),
    )


def with_server(
    facts: Facts, url: str | None, root: Path, models: Sequence[str], timeout_s: float = _TIMEOUT_S
) -> Facts:
    """Return facts of another machine with what a server and a tree of files say added to them."""
    tree = Tree(root)
    url = _connectable(url)
    if not tree.here:
        port = None if url is None else port_of(url)
        found = installed(tree, no_commands, _system(tree), port=port, around={})
        if found.way is not None:
            shown = url or found.host or facts.ollama.url
            known = Told(version=facts.ollama.version, running=facts.ollama.running)
            facts = replace(facts, ollama=_ollama(shown, found, known))
    if url is None:
        return facts
    with Asking(url, timeout_s) as asking:
        told = told_by(asking, models)
    server = replace(facts.ollama, url=address(url), running=told.running)
    if told.version is not None:
        server = replace(server, version=told.version)
    own = {model.name for model in told.models}
    kept = tuple(model for model in facts.models if model.name not in own)
    both = replace(facts, ollama=server, models=(*told.models, *kept), loaded=tuple(told.loaded))
    before = tuple(one for one in facts.unknown if not is_given(both, one))
    return replace(both, unknown=(*before, *told.unknown))


def is_local(host: str) -> bool:
    """Return whether a name or address is one of this machine."""
    if host in {"", "localhost"} or host == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))  # only an address of this machine can be bound to
    except OSError:
        return False
    return True


def _remote(url: str, models: Sequence[str], timeout_s: float) -> Facts:
    """Return what a server on another machine tells; nothing of this machine is taken for it."""
    with Asking(url, timeout_s) as asking:
        told = told_by(asking, models)
    why = f"{safe_url(url)} is another machine, and Ollama tells nothing of the one it runs on"
    give = (
        "run `aegis-llm probe --json > facts.json` there, and give --host-facts facts.json with"
        f" --url {shlex.quote(safe_url(url))}"
    )
    parts = ("cpu", "memory", "gpus", "ollama.installed", "ollama.environment")
    unknown = tuple(Unknown(what=what, why=why, give=give) for what in parts)
    return Facts(
        source=f"the server at {safe_url(url)}",
        ollama=_ollama(url, Found(), told),
        models=tuple(told.models),
        loaded=tuple(told.loaded),
        unknown=(*unknown, *told.unknown),
    )


def _host_facts(tree: Tree, run: Run, system: Os | None, psutil: object, found: Found) -> Facts:
    cpu, memory = Cpu(), Memory()
    name: str | None = None
    if system == "linux":
        limits = linux_limits(tree, found.process.pid if found.process else "self")
        if found.container is not None:
            limits = limits.stricter(Limits(found.container.memory, cpus=found.container.cpus))
        machine = platform.machine() if tree.here else None
        cpu = within(linux_cpu(tree, machine, limits.allowed), limits)
        memory = linux_memory(tree, limits)
        name = _linux_name(tree)
    elif system is not None and tree.here:
        cpu, memory = cpu_of(system, run, psutil), memory_of(system, run, psutil)
        name = name_of(system, run)
    nvml = optional("pynvml") if tree.here and system != "macos" else None
    gpus, unknown = graphics.gpus_of(tree, run, system, nvml)
    if system == "macos":
        arm = cpu.architecture == "arm64"
        gpus, unknown = graphics.apple_gpus(run, memory.total, arm=arm)
    used, unused = graphics.sorted_out(gpus, found.environment)
    used = graphics.with_memory(used, memory)
    complete = system is not None and not any(one.what == "gpus" for one in unknown)
    if system is None:
        unknown.append(Unknown(what="gpus", why=_nothing(tree), give=FILL_IN))
    memory = _with_gpus(memory, used, complete=complete)
    unknown = [*_missing(tree, cpu, memory, used), *unknown, *graphics.missing(used)]
    return Facts(
        source="this machine" if tree.here else f"the files in {tree.root}",
        os=system,
        os_name=name,
        cpu=cpu,
        memory=memory,
        gpus=tuple(used) if used or complete else None,
        unused_gpus=tuple(unused),
        unknown=tuple(unknown),
    )


def _with_gpus(memory: Memory, gpus: Sequence[Gpu], *, complete: bool) -> Memory:
    shared = [one for one in gpus if one.integrated]
    if shared:
        return replace(memory, unified=True, bandwidth=shared[0].bandwidth)
    return replace(memory, unified=False if gpus or complete else None)


def _missing(tree: Tree, cpu: Cpu, memory: Memory, gpus: Sequence[Gpu]) -> list[Unknown]:
    absent = _nothing(tree)
    found = [
        Unknown(what=what, why=absent, give=FILL_IN)
        for what, value in (
            ("cpu.physical_cores", cpu.physical_cores),
            ("cpu.fast_cores", cpu.fast_cores),
            ("memory.total", memory.total),
            ("memory.available", memory.available),
        )
        if value is None
    ]
    if memory.bandwidth is None and not gpus:
        why = "no system tells the bandwidth of its main memory"
        found.append(Unknown(what="memory.bandwidth", why=why, give=FILL_IN))
    return found


def _nothing(tree: Tree) -> str:
    if not tree.here:
        return f"no file in {tree.root} tells it"
    need = "" if sys.platform == "linux" else "; it needs the package psutil"
    return f"this system does not tell it{need}"


def _system(tree: Tree) -> Os | None:
    if tree.here:
        return _SYSTEMS.get(sys.platform)
    if tree.has("/System/Library"):
        return "macos"
    return "linux" if tree.has("/etc") or tree.has("/proc") else None


def _linux_name(tree: Tree) -> str | None:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        for line in (tree.text(path) or "").splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip().strip("\"'") or None
    return None


def _told(url: str | None, models: Sequence[str], timeout_s: float, tree: Tree) -> Told:
    if url is None:
        why = f"no server was asked for the files in {tree.root}"
        give = "give its address with --url, or give this in a fact file"
        told = Told(running=None)
        told.unknown = [
            Unknown(what=what, why=why, give=give) for what in ("ollama.version", "models")
        ]
        return told
    with Asking(url, timeout_s) as asking:
        return told_by(asking, models)


def _ollama(url: str | None, found: Found, told: Told) -> Ollama:
    process = found.process
    pid = process.pid if process else found.container.pid if found.container else None
    return Ollama(
        url=address(url),
        version=told.version,
        running=told.running,
        installed=found.way,
        unit=found.unit,
        user=found.user,
        environment=found.environment,
        environment_source=found.source if found.environment is not None else None,
        files=found.files,
        pid=pid,
        models_dir=found.models_dir,
    )


def address(host: str | None) -> str:
    """Return the URL at which a server is reached, without a password.

    Args:
        host: What `OLLAMA_HOST` or `--url` says, by Ollama's own rules: `0.0.0.0`, `gpu:8080`,
            `https://gpu`. None: nothing.
    """
    host = (host or "").strip().strip("\"'")
    if not host:
        return _DEFAULT_URL
    bound = _host(host)
    name = _REACHED.get(bound, bound)
    shown = f"[{name}]" if ":" in name else name
    scheme, separator, _ = host.partition("://")
    path = safe_url(host).partition("://")[2].partition("/")[2].rstrip("/") if separator else ""
    start = f"{scheme if separator else 'http'}://{shown}:{port_of(host)}"
    return f"{start}/{path}" if path else start


def _connectable(url: str | None) -> str | None:
    """Return the address, if it means all addresses that of this machine: Windows needs it."""
    every = url is not None and _host(url) in {"0.0.0.0", "::"}  # noqa: S104 - read, not bound to
    return address(url) if every else url


def _host(url: str) -> str:
    rest = url.partition("://")[2] if "://" in url else url
    try:
        return urlsplit(f"//{rest}").hostname or ""
    except ValueError:
        return ""
