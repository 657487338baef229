"""Describes the machine and the versions that a table was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "redis", "hiredis", "redisvl", "msgspec", "numpy", "langchain-core", "langchain-ollama",
    "langchain-redis",
)  # fmt: skip


def describe(client: Any) -> list[str]:
    """Return sentences about the hardware, the system, the server and the packages."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    return [
        f"{_field('/proc/cpuinfo', 'model name') or platform.machine()}, {cores} cores, "
        f"{_memory_gb()} GB of memory, {_system()}; load average at the start {load:.1f} "
        "(anything over 1 means that other work ran beside it)",
        f"Python {platform.python_version()}, {_server(client)}",
        ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    ]


def _server(client: Any) -> str:
    name = f"Redis {client.info('server')['redis_version']}"
    modules = client.info("modules").get("modules", [])
    shown = ", ".join(f"{m['name']} {m['ver']}" for m in modules)
    return f"{name} on the same machine over TCP, modules {shown or 'none'}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _memory_gb() -> int:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
    return round(size / 2**30)


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
