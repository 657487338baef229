"""macOS, Windows, NVML, and commands that fail, hang or print rubbish."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from aegis_llm.bootstrap.facts import Gpu
from aegis_llm.bootstrap.probing import CommandError
from aegis_llm.bootstrap.probing.apple import mac_cpu, working_set
from aegis_llm.bootstrap.probing.bandwidths import bandwidth_of
from aegis_llm.bootstrap.probing.commands import no_commands, run_command
from aegis_llm.bootstrap.probing.elsewhere import cpu_of, memory_of, name_of, optional
from aegis_llm.bootstrap.probing.files import Tree, numbers_of
from aegis_llm.bootstrap.probing.graphics import apple_gpus, gpus_of, sorted_out, with_memory
from aegis_llm.bootstrap.probing.machine import is_local
from aegis_llm.bootstrap.probing.nvidia import by_library
from tests.bootstrap.machines import SERVER, Commands, planted

GIB = 1 << 30
M3_MAX = {
    "sysctl -n hw.physicalcpu": "16\n",
    "sysctl -n hw.logicalcpu": "16\n",
    "sysctl -n hw.perflevel0.physicalcpu": "12\n",
    "sysctl -n machdep.cpu.brand_string": "Apple M3 Max\n",
    "sysctl -n hw.memsize": f"{64 * GIB}\n",
    "sysctl -n iogpu.wired_limit_mb": "0\n",
    "sw_vers": "15.1\n",
    "system_profiler -json SPDisplaysDataType": json.dumps(
        {"SPDisplaysDataType": [{"sppci_model": "Apple M3 Max", "sppci_cores": "40"}]}
    ),
}


def test_a_mac_tells_its_cores_and_the_share_of_memory_that_its_gpu_uses() -> None:
    run = Commands(M3_MAX)
    cpu = mac_cpu(run, "arm64")
    assert (cpu.physical_cores, cpu.fast_cores, cpu.name) == (16, 12, "Apple M3 Max")
    assert memory_of("macos", run, None).total == 64 * GIB
    assert name_of("macos", run) == "macOS 15.1"
    gpus, unknown = apple_gpus(run, 64 * GIB, arm=True)
    assert [(gpu.name, gpu.memory, gpu.bandwidth) for gpu in gpus] == [
        ("Apple M3 Max (40 cores)", 48 * GIB, 400e9)
    ]
    (assumed,) = unknown
    assert (assumed.what, "75%" in assumed.why) == ("gpus.0.memory", True)


def test_a_limit_that_was_set_on_a_mac_is_not_assumed() -> None:
    run = Commands(M3_MAX | {"sysctl -n iogpu.wired_limit_mb": "57344\n"})
    gpus, unknown = apple_gpus(run, 64 * GIB, arm=True)
    assert ([gpu.memory for gpu in gpus], unknown) == ([56 * GIB], [])


@pytest.mark.parametrize(("total", "share"), [(16, 16 * 2 / 3), (36, 27), (64, 48), (128, 96)])
def test_the_working_set_of_metal_is_two_thirds_or_three_quarters(
    total: int, share: float
) -> None:
    assert working_set(total * GIB, None) == int(share * GIB)


@pytest.mark.parametrize("said", ["", "{}", "[]", '{"SPDisplaysDataType": 3}', "\x00"])
def test_a_profiler_that_prints_rubbish_is_an_unknown(said: str) -> None:
    run = Commands(M3_MAX | {"system_profiler -json SPDisplaysDataType": said})
    gpus, unknown = apple_gpus(run, GIB, arm=True)
    assert (gpus, [one.what for one in unknown]) == ([], ["gpus"])


def test_a_mac_of_intel_has_no_gpu_that_ollama_uses() -> None:
    assert apple_gpus(Commands(M3_MAX), GIB, arm=False) == ([], [])


def test_psutil_tells_what_windows_has_no_files_for() -> None:
    seen = memory_of("windows", no_commands, psutil)
    assert seen.total
    assert seen.total >= (seen.available or 0) > 0
    cpu = cpu_of("windows", no_commands, psutil)
    assert cpu.logical_cores == os.cpu_count()
    assert cpu_of("windows", no_commands, None).physical_cores is None


def test_a_module_that_is_absent_or_broken_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_for_a_test.py").write_text("raise OSError\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert optional("broken_for_a_test") is None
    assert optional("absent_for_a_test") is None
    assert optional("psutil") is psutil


class Nvml:
    """Stands for the module `pynvml`; GB10 does not know its memory."""

    def __init__(self, name: Any = b"NVIDIA GB10", *, starts: bool = True) -> None:
        self._name = name
        self._starts = starts
        self.ended = False

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's names
        if not self._starts:
            msg = "Driver Not Loaded"
            raise RuntimeError(msg)

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.ended = True

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetName(self, _: int) -> Any:  # noqa: N802
        return self._name

    def nvmlDeviceGetMemoryInfo(self, _: int) -> Any:  # noqa: N802
        if b"GB10" in self._name:
            msg = "Not Supported"
            raise RuntimeError(msg)
        return SimpleNamespace(total=80 * GIB, free=79 * GIB)

    def nvmlDeviceGetCudaComputeCapability(self, _: int) -> tuple[int, int]:  # noqa: N802
        return 12, 1


def test_nvml_answers_where_there_is_no_nvidia_smi(tmp_path: Path) -> None:
    tree = Tree(planted(tmp_path, SERVER))
    nvml = Nvml(b"NVIDIA H100 80GB HBM3")
    (gpu,), unknown = gpus_of(tree, Commands({}), "linux", nvml)
    assert (gpu.memory, gpu.free, gpu.bandwidth) == (80 * GIB, 79 * GIB, 3350e9)
    assert (gpu.capability, gpu.driver, unknown) == ("12.1", "580.1", [])
    assert nvml.ended
    (spark,) = by_library(Nvml())
    assert (spark.memory, spark.integrated, spark.name) == (None, True, "NVIDIA GB10")


def test_nvml_that_does_not_start_is_no_gpu_where_nothing_shows_one(tmp_path: Path) -> None:
    tree = Tree(planted(tmp_path, SERVER))
    assert gpus_of(tree, Commands({}), "linux", Nvml(starts=False)) == ([], [])
    with pytest.raises(CommandError, match="Driver Not Loaded"):
        by_library(Nvml(starts=False))


def test_a_switch_that_is_no_false_value_enables_integrated_gpus() -> None:
    apu = Gpu(vendor="amd", name="AMD (gfx1103)", integrated=True)
    spark = Gpu(vendor="nvidia", name="NVIDIA GB10", integrated=True)
    for value, used in (("", [spark]), ("0", []), ("off", [apu, spark]), ("1", [apu, spark])):
        assert sorted_out([apu, spark], {"OLLAMA_IGPU_ENABLE": value})[0] == used
    assert with_memory([apu], memory_of("windows", no_commands, psutil))[0].memory


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("NVIDIA GB10", 273),
        ("NVIDIA GeForce RTX 4090", 1008),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA GeForce RTX 3090 Ti", 1008),
        ("NVIDIA GeForce RTX 3090", 936),
        ("NVIDIA GeForce RTX 5090", 1792),
        ("NVIDIA A100-SXM4-80GB", 2039),
        ("NVIDIA A100 80GB PCIe", 1935),
        ("NVIDIA H100 80GB HBM3", 3350),
        ("NVIDIA H100 PCIe", 2000),
        ("NVIDIA L4", 300),
        ("NVIDIA L40S", 864),
        ("Apple M1 (8 cores)", 68.25),
        ("Apple M2 Pro (19 cores)", 200),
        ("Apple M3 Max (30 cores)", 300),
        ("Apple M4 Max (40 cores)", 546),
        ("Apple M3 Max", None),
        ("Matrox G200", None),
    ],
)
def test_the_published_bandwidth_is_that_of_the_very_device(name: str, rate: float | None) -> None:
    assert bandwidth_of(name) == (None if rate is None else rate * 1e9)


def script(folder: Path, text: str) -> str:
    """Write a program; return its path."""
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_command_gives_what_it_prints_in_plain_english(tmp_path: Path) -> None:
    assert run_command([script(tmp_path, 'echo "$LC_ALL $1"'), "a b;c"]) == "C a b;c\n"
    assert run_command([script(tmp_path, r"printf 'a\377b'")]) == "a\ufffdb"


def test_a_command_that_gives_nothing_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="there is no absent-program here"):
        run_command(["absent-program"])
    with pytest.raises(CommandError, match="failed: no right"):
        run_command([script(tmp_path, "echo no right >&2; exit 3")])
    with pytest.raises(CommandError, match="failed: exit status 3"):
        run_command([script(tmp_path, "exit 3")])
    broken = Path(script(tmp_path, ""))
    broken.write_text("#!/absent/interpreter\n")
    with pytest.raises(CommandError, match="cannot be run"):
        run_command([str(broken)])


def test_a_command_that_hangs_is_left_even_when_its_child_keeps_the_pipe(tmp_path: Path) -> None:
    hanging = script(tmp_path, "sleep 20 & echo started; wait")
    with pytest.raises(CommandError, match=r"did not answer within 0\.2 s"):
        run_command([hanging], timeout_s=0.2)


def test_another_machine_is_not_asked_by_commands_of_this_one() -> None:
    with pytest.raises(CommandError, match="another machine"):
        no_commands(["nvidia-smi"])


@pytest.mark.parametrize(
    ("listed", "numbers"),
    [("0-3,8\n", [0, 1, 2, 3, 8]), ("", []), ("x", []), ("0-999999999", []), ("5", [5])],
)
def test_lists_of_the_kernel_are_read(listed: str, numbers: list[int]) -> None:
    assert numbers_of(listed) == numbers


def test_addresses_of_this_machine_are_known() -> None:
    for host in ("", "localhost", "127.0.0.1", "127.9.9.9", "0.0.0.0", "::1"):
        assert is_local(host)
    for host in ("192.0.2.1", "gpu.example", "ollama"):
        assert not is_local(host)
