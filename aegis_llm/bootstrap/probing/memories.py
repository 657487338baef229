"""The memory of a Linux machine, and the limits of a container on memory and processors."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from aegis_llm.bootstrap.facts import Cpu, Memory
from aegis_llm.bootstrap.probing.files import Tree, numbers_of

_CGROUP = "/sys/fs/cgroup"
_DEEPEST = 32


class Limits(NamedTuple):
    """What a container allows; None: no limit.

    Attributes:
        memory: Bytes.
        used: Bytes of that which are taken and cannot be dropped.
        cpus: Processors, also a part of one.
        allowed: Numbers of the processors.
    """

    memory: int | None = None
    used: int = 0
    cpus: float | None = None
    allowed: list[int] | None = None

    def stricter(self, other: Limits) -> Limits:
        """Return what holds where both do."""
        memory, used = self.memory, self.used
        if other.memory is not None and (memory is None or other.memory < memory):
            memory, used = other.memory, other.used
        quotas = [cpus for cpus in (self.cpus, other.cpus) if cpus is not None]
        allowed = other.allowed if self.allowed is None else self.allowed
        return Limits(memory, used, min(quotas, default=None), allowed)


def linux_memory(tree: Tree, limits: Limits) -> Memory:
    """Return total and available memory, each within the limit of the container."""
    fields: dict[str, int] = {}
    for line in (tree.text("/proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        amount = rest.split()
        if amount and amount[0].isdigit():
            fields[name] = int(amount[0]) << 10
    total = fields.get("MemTotal") or None
    available = fields.get("MemAvailable", fields.get("MemFree"))
    if limits.memory is not None and (total is None or limits.memory < total):
        total = limits.memory
        left = max(0, limits.memory - limits.used)
        available = left if available is None else min(available, left)
    if available is not None and total is not None:
        available = min(available, total)
    return Memory(total=total, available=available)


def within(cpu: Cpu, limits: Limits) -> Cpu:
    """Return the processor as a container sees it: no more cores than its quota of time."""
    if limits.cpus is None:
        return cpu
    whole = max(1, math.floor(limits.cpus))

    def least(count: int | None) -> int | None:
        return None if count is None else min(count, whole)

    return Cpu(
        name=cpu.name,
        architecture=cpu.architecture,
        physical_cores=least(cpu.physical_cores),
        logical_cores=least(cpu.logical_cores),
        fast_cores=least(cpu.fast_cores),
    )


def linux_limits(tree: Tree, pid: int | str = "self") -> Limits:
    """Return the limits of the control groups of a process, the strictest of its ancestors."""
    groups = tree.text(f"/proc/{pid}/cgroup") or ""
    found = Limits()
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        named = controllers.split(",")
        if number == "0" and not controllers:
            found = found.stricter(_second(tree, path))
        if "memory" in named:
            found = found.stricter(_first_memory(tree, path))
        if "cpu" in named:
            found = found.stricter(_first_cpu(tree, controllers, path))
        if "cpuset" in named:
            found = found.stricter(Limits(allowed=_first_cpuset(tree, path)))
    return found


def _above(base: str, path: str) -> Iterator[str]:
    """Yield a group's folder and those above it; a container may see only the topmost."""
    path = posixpath.normpath("/" + path).lstrip("/")
    for _ in range(_DEEPEST):
        yield posixpath.join(base, path) if path else base
        if not path:
            return
        path = posixpath.dirname(path)


def _second(tree: Tree, path: str) -> Limits:
    """Return the limits of cgroup v2."""
    found = Limits()
    for group in _above(_CGROUP, path):
        used = tree.number(f"{group}/memory.current") or 0
        used -= _field(tree.text(f"{group}/memory.stat"), "inactive_file")
        quota, _, period = (tree.text(f"{group}/cpu.max") or "").strip().partition(" ")
        cpus = int(quota) / int(period) if quota.isdigit() and _positive(period) else None
        limit = tree.number(f"{group}/memory.max")
        allowed = numbers_of(tree.text(f"{group}/cpuset.cpus.effective") or "") or None
        found = found.stricter(Limits(limit, max(0, used), cpus, allowed))
    return found


def _first_memory(tree: Tree, path: str) -> Limits:
    """Return the limit of cgroup v1; "no limit" there is a number beyond every memory."""
    found = Limits()
    for group in _above(f"{_CGROUP}/memory", path):
        limit = tree.number(f"{group}/memory.limit_in_bytes")
        used = tree.number(f"{group}/memory.usage_in_bytes") or 0
        used -= _field(tree.text(f"{group}/memory.stat"), "total_inactive_file")
        if limit is not None and 0 < limit < 1 << 60:
            found = found.stricter(Limits(limit, max(0, used)))
    return found


def _first_cpu(tree: Tree, controllers: str, path: str) -> Limits:
    found = Limits()
    for folder in dict.fromkeys((controllers, "cpu", "cpu,cpuacct")):
        for group in _above(f"{_CGROUP}/{folder}", path):
            quota = tree.number(f"{group}/cpu.cfs_quota_us")
            period = tree.number(f"{group}/cpu.cfs_period_us")
            if quota and quota > 0 and period and period > 0:
                found = found.stricter(Limits(cpus=quota / period))
    return found


def _first_cpuset(tree: Tree, path: str) -> list[int] | None:
    for group in _above(f"{_CGROUP}/cpuset", path):
        for name in ("cpuset.effective_cpus", "cpuset.cpus"):
            if allowed := numbers_of(tree.text(f"{group}/{name}") or ""):
                return allowed
    return None


def _field(stat: str | None, name: str) -> int:
    for line in (stat or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _positive(text: str) -> bool:
    return text.isdigit() and int(text) > 0
