"""What the files of real machines say: cores, memory, limits and graphics processors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aegis_llm.bootstrap.facts import Facts, Unknown
from aegis_llm.bootstrap.probing import CommandError, probe
from aegis_llm.bootstrap.probing.commands import no_commands
from tests.bootstrap.machines import (
    DGX_SPARK,
    IN_FIRST_CGROUP,
    IN_SECOND_CGROUP,
    JETSON,
    LAPTOP,
    RADEON,
    RASPBERRY,
    SERVER,
    SMI,
    SPARK_SMI,
    STRIX_HALO,
    Commands,
    planted,
)

GIB = 1 << 30


def told(root: Path, *trees: Any, **answers: str | Exception) -> Facts:
    """Return the facts of a planted machine."""
    commands = {key.replace("_", " "): value for key, value in answers.items()}
    return probe(root=planted(root, *trees), run=Commands(commands))


def unknown(facts: Facts, what: str) -> Unknown:
    """Return what is said of something unknown."""
    found = [one for one in facts.unknown if one.what == what]
    assert len(found) == 1, [one.what for one in facts.unknown]
    return found[0]


def test_a_dgx_spark_has_ten_fast_cores_and_shares_its_memory(tmp_path: Path) -> None:
    facts = probe(root=planted(tmp_path, DGX_SPARK), run=Commands(SPARK_SMI))
    assert (facts.os, facts.os_name) == ("linux", "Ubuntu 24.04.3 LTS")
    assert facts.cpu.name == "10 Cortex-X925 + 10 Cortex-A725"
    assert facts.cpu.architecture == "arm64"
    assert (facts.cpu.physical_cores, facts.cpu.logical_cores) == (20, 20)
    assert facts.cpu.fast_cores == 10
    assert facts.memory.total == 127_600_748 * 1024
    assert facts.memory.unified is True
    assert facts.memory.bandwidth == 273e9
    (gpu,) = facts.gpus or ()
    assert (gpu.name, gpu.capability, gpu.integrated) == ("NVIDIA GB10", "12.1", True)
    assert (gpu.memory, gpu.free) == (facts.memory.total, facts.memory.available)
    assert gpu.driver == "580.126.09"


def test_cores_whose_capacity_differs_little_are_all_fast(tmp_path: Path) -> None:
    alike = {path: "997\n" for path in DGX_SPARK if "cpu_capacity" in path and "cpu1" in path}
    others = {path: "1024\n" for path in DGX_SPARK if "cpu_capacity" in path}
    assert told(tmp_path, DGX_SPARK, others | alike).cpu.fast_cores == 20


def test_a_gpu_that_only_a_file_names_is_still_found(tmp_path: Path) -> None:
    facts = probe(root=planted(tmp_path, DGX_SPARK), run=no_commands)
    (gpu,) = facts.gpus or ()
    assert (gpu.name, gpu.capability) == ("NVIDIA GB10", None)
    assert gpu.memory == facts.memory.total


def test_a_raspberry_pi_has_no_core_ids_and_no_gpu(tmp_path: Path) -> None:
    facts = told(tmp_path, RASPBERRY)
    assert facts.cpu.physical_cores == facts.cpu.fast_cores == 4
    assert facts.cpu.name == "4 Cortex-A76"
    assert facts.gpus == ()
    assert facts.memory.unified is False
    assert "bandwidth" in unknown(facts, "memory.bandwidth").what


def test_a_laptop_counts_threads_once_and_tells_its_fast_cores(tmp_path: Path) -> None:
    facts = told(tmp_path, LAPTOP)
    assert facts.cpu.architecture == "x86-64"
    assert (facts.cpu.physical_cores, facts.cpu.logical_cores) == (8, 12)
    assert facts.cpu.fast_cores == 4
    assert facts.gpus == ()
    assert [one.name for one in facts.unused_gpus] == ["Intel graphics 8086:46a6"]


def test_x86_cores_of_one_kind_are_all_fast_whatever_their_highest_frequency(
    tmp_path: Path,
) -> None:
    speeds = {
        f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq": f"{4_000_000 + cpu * 90_000}"
        for cpu in range(32)
    }
    assert told(tmp_path, SERVER, speeds).cpu.fast_cores == 16


def test_without_topology_files_cpuinfo_tells_the_cores(tmp_path: Path) -> None:
    only = {path: text for path, text in SERVER.items() if "topology" not in path}
    facts = told(tmp_path, only)
    assert (facts.cpu.physical_cores, facts.cpu.logical_cores) == (16, 32)


def test_x86_without_any_core_ids_is_unknown_not_guessed(tmp_path: Path) -> None:
    facts = told(tmp_path, {"/proc/cpuinfo": "processor: 0\nvendor_id: x\nflags: lm\n"})
    assert facts.cpu.physical_cores is None
    assert facts.cpu.logical_cores == 1
    assert "--host-facts" in unknown(facts, "cpu.physical_cores").give


def test_the_limit_of_a_container_is_the_total(tmp_path: Path) -> None:
    facts = told(tmp_path, SERVER, IN_SECOND_CGROUP)
    assert facts.memory.total == 16 * GIB
    assert facts.memory.available == (16 - 5 + 1) * GIB
    assert (facts.cpu.physical_cores, facts.cpu.logical_cores, facts.cpu.fast_cores) == (6, 6, 6)


def test_no_limit_in_a_container_is_no_limit(tmp_path: Path) -> None:
    free = {"/sys/fs/cgroup/memory.max": "max\n", "/sys/fs/cgroup/cpu.max": "max 100000\n"}
    facts = told(tmp_path, SERVER, IN_SECOND_CGROUP, free)
    assert facts.memory.total == 131_072_000 * 1024
    assert facts.cpu.physical_cores == 16


def test_the_older_groups_of_a_pod_limit_memory_and_processors(tmp_path: Path) -> None:
    facts = told(tmp_path, SERVER, IN_FIRST_CGROUP)
    assert facts.memory.total == 24 * GIB
    assert facts.memory.available == 22 * GIB
    assert (facts.cpu.physical_cores, facts.cpu.logical_cores) == (4, 8)


def test_an_apu_of_amd_shares_the_memory(tmp_path: Path) -> None:
    facts = told(tmp_path, STRIX_HALO)
    (gpu,) = facts.gpus or ()
    assert gpu.name == "AMD GPU 1002:1586 (gfx1151)"
    assert (gpu.memory, gpu.free) == (78 * GIB, 77 * GIB)
    assert gpu.integrated
    assert facts.memory.unified is True
    assert facts.memory.bandwidth == 256e9


def test_another_apu_is_left_alone_as_ollama_does_unless_it_is_enabled(tmp_path: Path) -> None:
    node = "/sys/class/kfd/kfd/topology/nodes/1/properties"
    other = {node: STRIX_HALO[node].replace("110501", "110003")}
    facts = told(tmp_path, STRIX_HALO, other)
    assert facts.gpus == ()
    assert [one.name for one in facts.unused_gpus] == ["AMD GPU 1002:1586 (gfx1103)"]
    unit = {
        "/etc/systemd/system/ollama.service": "[Service]\nEnvironment=OLLAMA_IGPU_ENABLE=yes\n"
    }
    facts = told(tmp_path, unit)
    assert len(facts.gpus or ()) == 1
    assert facts.unused_gpus == ()


def test_a_card_of_amd_has_its_own_memory(tmp_path: Path) -> None:
    facts = told(tmp_path, RADEON)
    (gpu,) = facts.gpus or ()
    assert (gpu.memory, gpu.free, gpu.integrated) == (24 * GIB, 23 * GIB, False)
    assert facts.memory.unified is False


def test_a_jetson_is_known_by_its_board(tmp_path: Path) -> None:
    facts = told(tmp_path, JETSON)
    (gpu,) = facts.gpus or ()
    assert (gpu.capability, gpu.integrated, gpu.memory) == ("8.7", True, 64_349_000 * 1024)
    assert gpu.bandwidth == 204.8e9


def test_several_cards_are_listed_with_their_own_figures(tmp_path: Path) -> None:
    said = (
        "NVIDIA GeForce RTX 4090, 24564, 23000, 550.54.14, 8.9\n"
        "NVIDIA GeForce RTX 3090, 24576, 24000, 550.54.14, 8.6\n"
    )
    facts = probe(root=planted(tmp_path, SERVER), run=Commands({SMI: said}))
    one, other = facts.gpus or ()
    assert (one.memory, one.free) == (24564 << 20, 23000 << 20)
    assert (one.bandwidth, other.bandwidth) == (1008e9, 936e9)
    assert (one.capability, other.capability) == ("8.9", "8.6")


def test_an_old_driver_that_does_not_know_the_capability_is_asked_without_it(
    tmp_path: Path,
) -> None:
    refused = CommandError('nvidia-smi failed: Field "compute_cap" is not a valid field to query.')
    said = {SMI: refused, SMI.removesuffix(",compute_cap"): "Tesla T4, 15109, 15000, 470.1\n"}
    facts = probe(root=planted(tmp_path, SERVER), run=Commands(said))
    (gpu,) = facts.gpus or ()
    assert (gpu.name, gpu.capability, gpu.memory) == ("Tesla T4", None, 15109 << 20)


@pytest.mark.parametrize(
    "said",
    [
        CommandError("nvidia-smi did not answer within 5 s"),
        CommandError("nvidia-smi failed: couldn't communicate with the NVIDIA driver"),
        "Segmentation fault\n",
        "a,b\n",
        "\x00\xff\n",
    ],
)
def test_a_broken_driver_is_an_unknown_with_its_reason(tmp_path: Path, said: Any) -> None:
    card = {
        "/sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
        "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    }
    facts = probe(root=planted(tmp_path, SERVER, card), run=Commands({"nvidia-smi": said}))
    assert facts.gpus is None
    assert facts.memory.unified is None
    assert "nvidia-smi" in unknown(facts, "gpus").why


def test_a_card_that_does_not_tell_its_memory_is_listed_as_such(tmp_path: Path) -> None:
    said = {SMI: "NVIDIA Mystery, [Not Supported], [Not Supported], 1, [N/A]\n"}
    facts = probe(root=planted(tmp_path, SERVER), run=Commands(said))
    (gpu,) = facts.gpus or ()
    assert (gpu.memory, gpu.bandwidth, gpu.capability) == (None, None, None)
    assert "NVIDIA Mystery" in unknown(facts, "gpus.0.memory").why
    assert "table" in unknown(facts, "gpus.0.bandwidth").why


def test_an_empty_tree_is_unknown_all_over(tmp_path: Path) -> None:
    facts = probe(root=tmp_path)
    assert (facts.os, facts.gpus, facts.memory.total) == (None, None, None)
    for what in ("cpu.physical_cores", "memory.total", "gpus", "ollama.version", "models"):
        assert unknown(facts, what).give


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"MemTotal: many kB\n", b"a" * 5000])
def test_garbage_in_the_files_of_the_kernel_is_no_traceback(
    tmp_path: Path, content: bytes
) -> None:
    garbage = dict.fromkeys((*STRIX_HALO, *IN_SECOND_CGROUP, *IN_FIRST_CGROUP), content)
    facts = told(tmp_path, garbage)
    assert facts.memory.total is None
