"""Processor and memory of macOS and Windows, where the system has no files for it: `psutil`."""

from __future__ import annotations

import platform
from typing import Any

from aegis_llm.bootstrap.facts import Cpu, Memory
from aegis_llm.bootstrap.probing.apple import mac_cpu, whole
from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.cpus import architecture_of


def optional(name: str) -> Any:
    """Return a module that need not be there (`psutil`, `pynvml`); None: it is not, or broken."""
    from importlib import import_module

    try:
        return import_module(name)
    except Exception:  # noqa: BLE001 - whatever a broken install raises, it is not usable
        return None


def cpu_of(system: str, run: Run, psutil: Any) -> Cpu:
    """Return the processor as the system tells it."""
    architecture = architecture_of(platform.machine()) if platform.machine() else None
    if system == "macos":
        return mac_cpu(run, architecture)
    if psutil is None:
        return Cpu(architecture=architecture)
    return Cpu(
        name=platform.processor() or None,
        architecture=architecture,
        physical_cores=psutil.cpu_count(logical=False) or None,
        logical_cores=psutil.cpu_count() or None,
    )


def memory_of(system: str, run: Run, psutil: Any) -> Memory:
    """Return total and available memory; without `psutil` macOS tells the total."""
    if psutil is not None:
        seen = psutil.virtual_memory()
        return Memory(total=seen.total, available=min(seen.available, seen.total))
    return Memory(total=whole(run, "hw.memsize") if system == "macos" else None)


def name_of(system: str, run: Run) -> str:
    """Return the system's name with its version."""
    if system == "windows":
        return f"Windows {platform.version()}".strip()
    try:
        return f"macOS {run(['sw_vers', '-productVersion']).strip()}"
    except CommandError:
        return "macOS"
