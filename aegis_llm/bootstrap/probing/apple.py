"""What macOS says of itself through `sysctl` and `system_profiler`."""

from __future__ import annotations

from typing import Any

import msgspec

from aegis_llm.bootstrap.facts import Cpu, Gpu
from aegis_llm.bootstrap.probing.bandwidths import bandwidth_of
from aegis_llm.bootstrap.probing.commands import CommandError, Run

_GIB = 1 << 30
_THREE_QUARTERS_FROM = 36 * _GIB


def sysctl(run: Run, name: str) -> str | None:
    """Return one value of the kernel; None when it has none of that name."""
    try:
        return run(["sysctl", "-n", name]).strip() or None
    except CommandError:
        return None


def whole(run: Run, name: str) -> int | None:
    """Return one value of the kernel that is a whole number above 0."""
    said = sysctl(run, name) or ""
    return int(said) if said.isdigit() and 0 < int(said) < 1 << 62 else None


def mac_cpu(run: Run, architecture: str | None) -> Cpu:
    """Return the processor; performance cores are those of the first level."""
    physical, logical = whole(run, "hw.physicalcpu"), whole(run, "hw.logicalcpu")
    fast = whole(run, "hw.perflevel0.physicalcpu")
    return Cpu(
        name=sysctl(run, "machdep.cpu.brand_string"),
        architecture=architecture,
        physical_cores=physical,
        logical_cores=logical,
        fast_cores=physical if fast is None else min(fast, physical or fast),
    )


def mac_gpus(run: Run, memory: int | None, *, arm: bool) -> tuple[Gpu, ...]:
    """Return the GPUs; on Apple's own chips the one that Metal uses.

    Raises:
        CommandError: `system_profiler` is absent, hangs or prints no JSON.
    """
    said = run(["system_profiler", "-json", "SPDisplaysDataType"])
    try:
        listed: Any = msgspec.json.decode(said.encode())
        cards = [card for card in listed["SPDisplaysDataType"] if isinstance(card, dict)]
    except (msgspec.DecodeError, LookupError, TypeError):
        msg = "system_profiler printed no list of displays"
        raise CommandError(msg) from None
    found = []
    for card in cards:
        name = str(card.get("sppci_model") or card.get("_name") or "unnamed")
        if not arm:
            # Ollama computes on Apple's chips only; on Intel's Macs it uses the processor.
            continue
        cores = str(card.get("sppci_cores") or "")
        shown = f"{name} ({cores} cores)" if cores.isdigit() else name
        limit = working_set(memory, whole(run, "iogpu.wired_limit_mb"))
        found.append(
            Gpu(
                vendor="apple",
                name=shown,
                memory=limit,
                integrated=True,
                bandwidth=bandwidth_of(shown),
            )
        )
    return tuple(found)


def working_set(memory: int | None, limit_mb: int | None) -> int | None:
    """Return how much memory Metal lets one program use.

    That is what `iogpu.wired_limit_mb` says, else about 2/3 of the memory, 3/4 from 36 GiB on;
    llama.cpp prints the real figure as `recommendedMaxWorkingSetSize`.
    """
    if memory is None:
        return None
    if limit_mb:
        return min(memory, limit_mb << 20)
    return memory * 3 // 4 if memory >= _THREE_QUARTERS_FROM else memory * 2 // 3
