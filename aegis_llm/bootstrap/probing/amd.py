"""AMD's and Intel's graphics processors on Linux, from the files of the kernel."""

from __future__ import annotations

from aegis_llm.bootstrap.facts import Gpu
from aegis_llm.bootstrap.probing.bandwidths import bandwidth_of
from aegis_llm.bootstrap.probing.files import Tree

AMD, NVIDIA, INTEL = "0x1002", "0x10de", "0x8086"
_DISPLAYS = ("0x0300", "0x0302", "0x0380")
_DRM = "/sys/class/drm"
_NODES = "/sys/class/kfd/kfd/topology/nodes"
_APUS = frozenset({
    "gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037",
    "gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153",
})  # fmt: skip
"""Targets that have no memory of their own: https://llvm.org/docs/AMDGPUUsage.html, "APU"."""


def amd_gpus(tree: Tree) -> tuple[Gpu, ...]:
    """Return the cards of the driver `amdgpu`, in the order of the kernel.

    What an APU can address is the memory set aside for it and what it may take of the rest (GTT).
    """
    targets = _targets(tree)
    found = []
    for path in tree.matching(_DRM, "card[0-9]*"):
        device = f"{path}/device"
        if "-" in path.rpartition("/")[2] or _word(tree, f"{device}/vendor") != AMD:
            continue
        memory = tree.number(f"{device}/mem_info_vram_total")
        used = tree.number(f"{device}/mem_info_vram_used") or 0
        if memory is None:
            continue  # another driver, which no runner of Ollama uses
        target = targets.get(_location(tree.text(f"{device}/uevent") or ""))
        if target is None and len(set(targets.values())) == 1:
            target = next(iter(targets.values()))
        integrated = target in _APUS if target else None
        if integrated:
            memory += tree.number(f"{device}/mem_info_gtt_total") or 0
            used += tree.number(f"{device}/mem_info_gtt_used") or 0
        name = _name(tree, device, target)
        found.append(
            Gpu(
                vendor="amd",
                name=name,
                memory=memory or None,
                free=max(0, memory - used),
                integrated=integrated,
                bandwidth=bandwidth_of(name),
                driver=_word(tree, "/sys/module/amdgpu/version") or None,
            )
        )
    return tuple(found)


def displays(tree: Tree) -> set[str]:
    """Return the makers of the display adapters on the PCI bus, by their numbers."""
    found = set()
    for path in tree.matching("/sys/bus/pci/devices", "*"):
        if _word(tree, f"{path}/class").startswith(_DISPLAYS):
            found.add(_word(tree, f"{path}/vendor"))
    return found


def intel_gpus(tree: Tree) -> tuple[Gpu, ...]:
    """Return Intel's display adapters; the integrated one is always at the same place."""
    found = []
    for path in tree.matching("/sys/bus/pci/devices", "*"):
        if _word(tree, f"{path}/vendor") != INTEL:
            continue
        if _word(tree, f"{path}/class").startswith(_DISPLAYS):
            inside = path.endswith(":00:02.0")
            name = "Intel graphics" if inside else "Intel Arc"
            number = _word(tree, f"{path}/device").removeprefix("0x")
            found.append(Gpu(vendor="intel", name=f"{name} 8086:{number}", integrated=inside))
    return tuple(found)


def _name(tree: Tree, device: str, target: str | None) -> str:
    product = _word(tree, f"{device}/product_name")
    number = _word(tree, f"{device}/device").removeprefix("0x")
    name = product or "AMD " + (f"GPU 1002:{number}" if number else "GPU")
    return f"{name} ({target})" if target else name


def _targets(tree: Tree) -> dict[int, str]:
    """Return LLVM's names of the chips by their place on the PCI bus."""
    found = {}
    for path in tree.matching(_NODES, "[0-9]*"):
        fields: dict[str, int] = {}
        for line in (tree.text(f"{path}/properties") or "").splitlines():
            name, _, value = line.strip().partition(" ")
            if value.strip().isdigit():
                fields[name] = int(value)
        version = fields.get("gfx_target_version", 0)
        if version:
            major, minor, step = version // 10_000, version // 100 % 100, version % 100
            found[fields.get("location_id", 0)] = f"gfx{major}{minor:x}{step:x}"
    return found


def _location(uevent: str) -> int:
    """Return the place that `PCI_SLOT_NAME=0000:c5:00.0` names, as the driver counts it; -1."""
    for line in uevent.splitlines():
        if line.startswith("PCI_SLOT_NAME="):
            try:
                _, bus, rest = line.partition("=")[2].split(":")
                slot, _, function = rest.partition(".")
                return int(bus, 16) << 8 | int(slot, 16) << 3 | int(function, 16)
            except ValueError:
                return -1
    return -1


def _word(tree: Tree, path: str) -> str:
    return (tree.text(path) or "").strip()
