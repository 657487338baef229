"""Files of machines as their kernels show them, cut down to what is read, and commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aegis_llm.bootstrap.probing import CommandError

CPU = "/sys/devices/system/cpu"


def planted(root: Path, *trees: Mapping[str, str | bytes]) -> Path:
    """Write the files of some trees below a root; return it."""
    for tree in trees:
        for path, content in tree.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


class Commands:
    """Answers commands from a table: texts, or the reason of a failure as an exception."""

    def __init__(self, answers: Mapping[str, str | Exception]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str]) -> str:
        line = " ".join(argv)
        self.asked.append(line)
        for start, answer in self._answers.items():
            if line.startswith(start):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        msg = f"there is no {argv[0]} here"
        raise CommandError(msg)


def meminfo(total: int, available: int) -> str:
    """Return /proc/meminfo; sizes in kB."""
    return f"MemTotal:       {total} kB\nMemFree:  1024 kB\nMemAvailable:   {available} kB\n"


def siblings(*cores: str, name: str = "thread_siblings_list") -> dict[str, str]:
    """Return the topology of cores; each is the list of the CPUs that share it."""
    found = {}
    for shared in cores:
        numbers = [int(one) for one in shared.replace("-", ",").split(",")]
        for cpu in numbers:
            found[f"{CPU}/cpu{cpu}/topology/{name}"] = f"{shared}\n"
    return found


def _arm(parts: Sequence[str]) -> str:
    return "\n".join(
        f"processor\t: {number}\nBogoMIPS\t: 2000.00\nFeatures\t: fp asimd sve2 bf16\n"
        f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\n"
        for number, part in enumerate(parts)
    )


_BIG, _SMALL = "0xd85", "0xd87"
_SPARK_PARTS = ([_SMALL] * 5 + [_BIG] * 5) * 2
DGX_SPARK = {
    "/etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 24.04.3 LTS"\nID=ubuntu\n',
    "/proc/cpuinfo": _arm(_SPARK_PARTS),
    "/proc/meminfo": meminfo(127_600_748, 118_566_368),
    f"{CPU}/online": "0-19\n",
    **siblings(*(str(cpu) for cpu in range(20))),
    **{
        # The two clusters of fast cores differ a little.
        f"{CPU}/cpu{cpu}/cpu_capacity": "718\n" if part == _SMALL else ("997\n", "1024\n")[cpu > 9]
        for cpu, part in enumerate(_SPARK_PARTS)
    },
    "/proc/driver/nvidia/gpus/000f:01:00.0/information": "Model: \t\t NVIDIA GB10\nIRQ: 482\n",
}
SMI = "nvidia-smi --query-gpu=name,memory.total,memory.free,driver_version,compute_cap"
SPARK_SMI = {SMI: "NVIDIA GB10, [N/A], [N/A], 580.126.09, 12.1\n"}

RASPBERRY = {
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "/proc/cpuinfo": _arm(["0xd0b"] * 4)
    + "\nRevision\t: d04170\nSerial\t\t: 1000\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
    "/proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "/proc/meminfo": meminfo(8_245_760, 7_000_000),
}

_P_CORES = ["0-1", "2-3", "4-5", "6-7"]
_E_CORES = ["8", "9", "10", "11"]
LAPTOP = {
    "/etc/os-release": "PRETTY_NAME='Fedora Linux 42 (Workstation Edition)'\n",
    "/proc/cpuinfo": "\n\n".join(
        f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: 12th Gen Intel(R) Core(TM)"
        f" i7-1260P\nphysical id\t: 0\ncore id\t\t: {cpu}\nflags\t\t: fpu vme lm avx2\n"
        for cpu in range(12)
    ),
    "/proc/meminfo": meminfo(32_530_000, 24_000_000),
    f"{CPU}/online": "0-11\n",
    **siblings(*_P_CORES, *_E_CORES, name="core_cpus_list"),
    "/sys/devices/cpu_core/cpus": "0-7\n",
    "/sys/devices/cpu_atom/cpus": "8-11\n",
    "/sys/bus/pci/devices/0000:00:02.0/class": "0x030000\n",
    "/sys/bus/pci/devices/0000:00:02.0/vendor": "0x8086\n",
    "/sys/bus/pci/devices/0000:00:02.0/device": "0x46a6\n",
}

SERVER = {
    "/etc/os-release": 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\n',
    "/proc/cpuinfo": "\n\n".join(
        f"processor\t: {cpu}\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7B13\n"
        f"physical id\t: 0\ncore id\t\t: {cpu % 16}\nflags\t\t: fpu lm avx2\n"
        for cpu in range(32)
    ),
    "/proc/meminfo": meminfo(131_072_000, 120_000_000),
    f"{CPU}/online": "0-31\n",
    **siblings(*(f"{cpu},{cpu + 16}" for cpu in range(16))),
}
IN_SECOND_CGROUP = {
    "/proc/self/cgroup": "0::/\n",
    "/sys/fs/cgroup/memory.max": f"{16 << 30}\n",
    "/sys/fs/cgroup/memory.current": f"{5 << 30}\n",
    "/sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {1 << 30}\n",
    "/sys/fs/cgroup/cpu.max": "650000 100000\n",
    "/.dockerenv": "",
}
_DEEP = "/kubepods/burstable/pod1"
IN_FIRST_CGROUP = {
    "/proc/self/cgroup": f"5:memory:{_DEEP}\n4:cpu,cpuacct:{_DEEP}\n3:cpuset:{_DEEP}\n",
    f"/sys/fs/cgroup/memory{_DEEP}/memory.limit_in_bytes": "9223372036854771712\n",
    "/sys/fs/cgroup/memory/kubepods/memory.limit_in_bytes": f"{24 << 30}\n",
    "/sys/fs/cgroup/memory/kubepods/memory.usage_in_bytes": f"{2 << 30}\n",
    f"/sys/fs/cgroup/cpu,cpuacct{_DEEP}/cpu.cfs_quota_us": "-1\n",
    f"/sys/fs/cgroup/cpu,cpuacct{_DEEP}/cpu.cfs_period_us": "100000\n",
    f"/sys/fs/cgroup/cpuset{_DEEP}/cpuset.cpus": "0-3,16-19\n",
}

_CARD = "/sys/class/drm/card1/device"
STRIX_HALO = {
    **SERVER,
    "/proc/meminfo": meminfo(97_500_000, 90_000_000),
    f"{_CARD}/vendor": "0x1002\n",
    f"{_CARD}/device": "0x1586\n",
    f"{_CARD}/uevent": "DRIVER=amdgpu\nPCI_SLOT_NAME=0000:c6:00.0\n",
    f"{_CARD}/mem_info_vram_total": f"{32 << 30}\n",
    f"{_CARD}/mem_info_vram_used": f"{1 << 30}\n",
    f"{_CARD}/mem_info_gtt_total": f"{46 << 30}\n",
    f"{_CARD}/mem_info_gtt_used": "0\n",
    "/sys/class/drm/card1-DP-1/status": "connected\n",
    "/sys/class/kfd/kfd/topology/nodes/0/properties": "cpu_cores_count 32\nlocation_id 0\n",
    "/sys/class/kfd/kfd/topology/nodes/1/properties": (
        f"simd_count 80\nlocation_id {0xC6 << 8}\ngfx_target_version 110501\n"
    ),
}
RADEON = {
    **SERVER,
    **{path: text for path, text in STRIX_HALO.items() if path.startswith(_CARD)},
    f"{_CARD}/device": "0x744c\n",
    f"{_CARD}/mem_info_vram_total": f"{24 << 30}\n",
    "/sys/class/kfd/kfd/topology/nodes/1/properties": (
        f"simd_count 192\nlocation_id {0xC6 << 8}\ngfx_target_version 110000\n"
    ),
}
JETSON = {
    **RASPBERRY,
    "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "/proc/meminfo": meminfo(64_349_000, 58_000_000),
}
