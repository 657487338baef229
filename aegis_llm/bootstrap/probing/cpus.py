"""The processor of a Linux machine, from its files: cores, threads, and which cores are fast."""

from __future__ import annotations

import re

from aegis_llm.bootstrap.facts import Cpu
from aegis_llm.bootstrap.probing.files import Tree, numbers_of

_CPUS = "/sys/devices/system/cpu"
_ALIKE = 0.9
_PARTS = {"0xd85": "Cortex-X925", "0xd87": "Cortex-A725", "0xd0b": "Cortex-A76",
          "0xd08": "Cortex-A72", "0xd0c": "Neoverse-N1", "0xd40": "Neoverse-V1",
          "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2", "0xd42": "Cortex-A78AE"}  # fmt: skip
"""Names of ARM parts, https://github.com/util-linux/util-linux/blob/master/sys-utils/lscpu-arm.c."""


def linux_cpu(tree: Tree, machine: str | None, cpus: list[int] | None = None) -> Cpu:
    """Return what the files say.

    Args:
        tree: The files.
        machine: What the OS calls the architecture; None: told by the files.
        cpus: Those that may be used; None: all that are online.
    """
    blocks = _blocks(tree.text("/proc/cpuinfo") or "")
    online = _online(tree, blocks)
    usable = [cpu for cpu in online if cpus is None or cpu in cpus]
    cores = _cores(tree, usable) or _told_cores(blocks, usable)
    fast = None
    if cores is not None:
        fast = len(cores & _fast(tree, blocks, usable, cores)) or None
    return Cpu(
        name=_name(tree, blocks),
        architecture=architecture_of(machine) if machine else _architecture(tree, blocks),
        physical_cores=len(cores) if cores else None,
        logical_cores=len(usable) or None,
        fast_cores=fast,
    )


def architecture_of(machine: str) -> str:
    """Return the one name of an architecture that systems name in several ways."""
    lowered = machine.lower()
    if lowered in {"x86_64", "amd64", "x64"}:
        return "x86-64"
    return "arm64" if lowered in {"aarch64", "arm64"} else machine


def _blocks(cpuinfo: str) -> list[dict[str, str]]:
    """Return the fields of each processor; the last may speak of the whole board."""
    found: list[dict[str, str]] = []
    for part in re.split(r"\n\s*\n", cpuinfo.strip()):
        pairs = (line.partition(":") for line in part.splitlines())
        fields = {name.strip(): value.strip() for name, colon, value in pairs if colon}
        if fields:
            found.append(fields)
    return found


def _online(tree: Tree, blocks: list[dict[str, str]]) -> list[int]:
    listed = numbers_of(tree.text(f"{_CPUS}/online") or "")
    told = [one["processor"] for one in blocks if one.get("processor", "").isdigit()]
    return listed or sorted({int(number) for number in told})


def _cores(tree: Tree, cpus: list[int]) -> set[int] | None:
    """Return one CPU of each core: the first of those that share it, as llama.cpp counts."""
    found: set[int] = set()
    for cpu in cpus:
        shared = ""
        for name in ("core_cpus_list", "thread_siblings_list"):
            shared = shared or tree.text(f"{_CPUS}/cpu{cpu}/topology/{name}") or ""
        siblings = [one for one in numbers_of(shared) if one in cpus]
        if not siblings:
            return None
        found.add(min(siblings))
    return found or None


def _told_cores(blocks: list[dict[str, str]], cpus: list[int]) -> set[int] | None:
    """Return one CPU of each core by `/proc/cpuinfo`; ARM cores have one thread each."""
    seen: dict[tuple[str, str], int] = {}
    for one in blocks:
        if not one.get("processor", "").isdigit() or int(one["processor"]) not in cpus:
            continue
        if "core id" in one:
            where = one.get("physical id", "0"), one["core id"]
        elif "CPU implementer" in one:
            where = "", one["processor"]
        else:
            return None
        seen.setdefault(where, int(one["processor"]))
    return set(seen.values()) or None


def _fast(tree: Tree, blocks: list[dict[str, str]], cpus: list[int], cores: set[int]) -> set[int]:
    """Return the CPUs that are not efficiency cores.

    Intel names its kinds of cores. Else the kernel's capacity tells, else the highest frequency;
    of several kinds the slowest is the efficient one.
    """
    named = numbers_of(tree.text("/sys/devices/cpu_core/cpus") or "")
    if named:
        return set(named)
    for path in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        speeds = {cpu: tree.number(f"{_CPUS}/cpu{cpu}/{path}") or 0 for cpu in cpus}
        kinds = _kinds([speeds[cpu] for cpu in cores])
        if 0 in speeds.values():
            continue
        # Cores of one kind differ a little by frequency on x86; capacity is what is measured.
        if len(kinds) > 1 and (path == "cpu_capacity" or not _is_x86(blocks)):
            return {cpu for cpu in cpus if speeds[cpu] > kinds[0]}
        if path == "cpu_capacity":
            break
    return set(cpus)


def _kinds(speeds: list[int]) -> list[int]:
    """Return the highest speed of each kind of core, slowest first; near ones are one kind."""
    kinds: list[int] = []
    for speed in sorted(set(speeds)):
        if kinds and kinds[-1] >= _ALIKE * speed:
            kinds[-1] = speed
        else:
            kinds.append(speed)
    return kinds


def _is_x86(blocks: list[dict[str, str]]) -> bool:
    return any("vendor_id" in one or "flags" in one for one in blocks)


def _architecture(tree: Tree, blocks: list[dict[str, str]]) -> str | None:
    if any("CPU architecture" in one for one in blocks):
        eight = any(one.get("CPU architecture") in {"8", "9", "AArch64"} for one in blocks)
        return "arm64" if eight else "arm"
    if any(" lm " in f" {one.get('flags', '')} " for one in blocks):
        return "x86-64"
    return None


def _name(tree: Tree, blocks: list[dict[str, str]]) -> str | None:
    for one in blocks:
        if name := one.get("model name"):
            return " ".join(name.split())
    parts = [_PARTS[part] for one in blocks if (part := one.get("CPU part", "")) in _PARTS]
    counted = {part: parts.count(part) for part in sorted(set(parts), reverse=True)}
    if counted:
        return " + ".join(f"{count} {name}" for name, count in counted.items())
    board = (tree.text("/proc/device-tree/model") or "").strip("\0\n ")
    return board or next((one["Model"] for one in blocks if "Model" in one), None)
