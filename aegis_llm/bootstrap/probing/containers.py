"""Ollama in a container of Docker or Podman, asked from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.environment import of_pairs

_INNER = "11434/tcp"
_MOST = 20


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container with Ollama.

    Attributes:
        environment: All its variables; only `environment.kept` of it may be shown.
        memory: Its limit in bytes; None: none.
        cpus: Its limit; None: none.
        files: The files of Compose that made it.
        port: Where its server is published; None: not at all.
    """

    name: str
    environment: dict[str, str] = field(default_factory=dict)
    memory: int | None = None
    cpus: float | None = None
    files: tuple[str, ...] = ()
    port: int | None = None
    pid: int | None = None


def container_of(run: Run, port: int, inside: str | None = None) -> Container | None:
    """Return the container that serves a port; None: there is none, or nothing tells.

    Args:
        run: Runs `docker`, else `podman`.
        port: Of the server's address on this machine.
        inside: Id of the container that the process is known to run in.
    """
    for program in ("docker", "podman"):
        try:
            listed = run([program, "ps", "--no-trunc", "--format", "{{.ID}}\t{{.Image}}"])
        except CommandError:
            continue
        found = [_inspected(run, program, name) for name in _candidates(listed, inside)]
        known = [one for one in found if one is not None]
        if inside is not None and known:
            return known[0]
        for one in known:
            if one.port == port:
                return one
    return None


def _candidates(listed: str, inside: str | None) -> Sequence[str]:
    """Return the ids of the containers to look at: the known one, else those of Ollama's image."""
    rows = [line.partition("\t") for line in listed.splitlines()]
    if inside is not None:
        return [name for name, _, _ in rows if name.startswith(inside)][:1]
    return [name for name, _, image in rows if "ollama" in image][:_MOST]


def _inspected(run: Run, program: str, name: str) -> Container | None:
    try:
        said = msgspec.json.decode(run([program, "inspect", name]).encode())
        one = said[0]
        config, host = one["Config"], one["HostConfig"]
        labels = config.get("Labels") or {}
        files = str(labels.get("com.docker.compose.project.config_files") or "")
        network = one.get("NetworkSettings") or {}
        nanos = host.get("NanoCpus") or 0
        quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 100_000
        return Container(
            name=str(one.get("Name") or name).lstrip("/"),
            environment=of_pairs(str(pair) for pair in config.get("Env") or ()),
            memory=int(host.get("Memory") or 0) or None,
            cpus=nanos / 1e9 if nanos else quota / period if quota > 0 else None,
            files=tuple(file for file in files.split(",") if file),
            port=_published(network, host.get("NetworkMode")),
            pid=int((one.get("State") or {}).get("Pid") or 0) or None,
        )
    except (CommandError, msgspec.DecodeError, LookupError, TypeError, ValueError, AttributeError):
        return None


def _published(network: Any, mode: Any) -> int | None:
    bound = (network.get("Ports") or {}).get(_INNER)
    if bound:
        return int(bound[0]["HostPort"])
    return 11434 if mode == "host" else None
