"""The graphics processors of a machine, of all makers, and which of them Ollama computes on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from aegis_llm.bootstrap.facts import Gpu, Memory, Os, Unknown
from aegis_llm.bootstrap.probing import amd, apple, nvidia
from aegis_llm.bootstrap.probing.commands import CommandError, Run
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.config.go_values import bare, go_bool

FILL_IN = "`aegis-llm probe --json > facts.json`, fill it in, and give --host-facts facts.json"
_USED_BY_DEFAULT = "gfx1151"


def gpus_of(
    tree: Tree, run: Run, system: Os | None, nvml: Any = None
) -> tuple[list[Gpu], list[Unknown]]:
    """Return the GPUs that answer, and why others may be there that do not.

    An unknown `gpus` means that the list is not complete.
    """
    if system == "macos":
        return [], []  # they need the size of the memory: `apple_gpus`
    found, unknown = _nvidia(tree, run, system, nvml)
    if system != "linux":
        return found, unknown
    cards = amd.amd_gpus(tree)
    makers = amd.displays(tree)
    if not cards and amd.AMD in makers:
        why = "there is a GPU of AMD, but the kernel's driver amdgpu tells nothing of it"
        unknown.append(Unknown(what="gpus", why=why, give=f"load amdgpu, or {FILL_IN}"))
    return [*found, *cards, *amd.intel_gpus(tree)], unknown


def apple_gpus(run: Run, memory: int | None, *, arm: bool) -> tuple[list[Gpu], list[Unknown]]:
    """Return the GPU of an Apple chip; other Macs have none that Ollama uses."""
    try:
        found = list(apple.mac_gpus(run, memory, arm=arm))
    except CommandError as exc:
        return [], [Unknown(what="gpus", why=str(exc), give=FILL_IN)] if arm else []
    if not found or memory is None or apple.whole(run, "iogpu.wired_limit_mb"):
        return found, []
    share = (found[0].memory or 0) / memory
    why = (
        f"taken to be {share:.0%} of the memory, Metal's default; no command of macOS tells it"
        " (the server's log does: recommendedMaxWorkingSetSize)"
    )
    return found, [Unknown(what="gpus.0.memory", why=why, give=FILL_IN)]


def sorted_out(
    gpus: Sequence[Gpu], environment: Mapping[str, str] | None
) -> tuple[list[Gpu], list[Gpu]]:
    """Return the GPUs that Ollama computes on, and the integrated ones that it leaves alone.

    It takes NVIDIA's and gfx1151, and all or none of them when OLLAMA_IGPU_ENABLE is set. Anything
    that is no false value means yes there.
    """
    told = bare((environment or {}).get("OLLAMA_IGPU_ENABLE", ""))
    used: list[Gpu] = []
    unused: list[Gpu] = []
    for one in gpus:
        takes = one.vendor in {"nvidia", "apple"} or _USED_BY_DEFAULT in one.name
        if told and one.vendor != "apple":
            takes = go_bool(told) is not False
        (used if takes or not one.integrated else unused).append(one)
    return used, unused


def with_memory(gpus: Sequence[Gpu], memory: Memory) -> list[Gpu]:
    """Return the GPUs, those without memory of their own with the main memory's figures."""
    shown = []
    for one in gpus:
        if one.integrated and one.memory is None:
            one = replace(one, memory=memory.total, free=memory.available)  # noqa: PLW2901
        elif one.integrated and one.free is None and memory.available is not None:
            free = min(one.memory or 0, memory.available)
            one = replace(one, free=free)  # noqa: PLW2901 - the same GPU, completed
        shown.append(one)
    return shown


def missing(gpus: Sequence[Gpu]) -> list[Unknown]:
    """Return what is not known of the GPUs."""
    found = []
    for index, one in enumerate(gpus):
        if one.memory is None:
            why = f"{one.name} does not tell its memory"
            found.append(Unknown(what=f"gpus.{index}.memory", why=why, give=FILL_IN))
        if one.bandwidth is None:
            why = f"{one.name} is not in the table of published figures"
            found.append(Unknown(what=f"gpus.{index}.bandwidth", why=why, give=FILL_IN))
    return found


def _nvidia(tree: Tree, run: Run, system: Os | None, nvml: Any) -> tuple[list[Gpu], list[Unknown]]:
    """Ask nvidia-smi, NVML, then the files that name a GPU without its memory."""
    try:
        return list(nvidia.by_command(run)), []
    except CommandError as exc:
        whys = [str(exc)]
    if nvml is not None:
        try:
            return list(nvidia.by_library(nvml)), []
        except CommandError as exc:
            whys.append(str(exc))
    board = nvidia.of_board((tree.text("/proc/device-tree/model") or "").strip("\0\n "))
    if board is not None:
        return [board], []
    named = []
    for path in tree.matching("/proc/driver/nvidia/gpus", "*/information"):
        model = re.search(r"^Model:\s*(.+?)\s*$", tree.text(path) or "", re.MULTILINE)
        if model is not None:
            named.append(nvidia.gpu(model[1], None, None, None, None))
    if named:
        return named, []
    there = amd.NVIDIA in amd.displays(tree) or tree.has("/dev/nvidia0")
    absent = "there is no nvidia-smi" in whys[0]
    if there or (tree.here and not absent) or system == "windows":
        where = "there is a GPU of NVIDIA, but " if there else ""
        give = f"install NVIDIA's driver, give the container its GPUs, or {FILL_IN}"
        return [], [Unknown(what="gpus", why=where + "; ".join(whys), give=give)]
    return [], []
