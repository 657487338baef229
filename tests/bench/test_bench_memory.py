"""Memory of GPUs: what nvidia-smi and NVML say in the world, and what is made of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from aegis_llm.bench.memory import Memory, gpu_used, host_used
from aegis_llm.bench.sending import Around
from aegis_llm.bootstrap.probing.commands import CommandError

MIB = 1 << 20
Smi = Callable[[str, int], None]


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Smi:
    """Puts a stand-in for nvidia-smi on the PATH; it answers nothing but the one question."""
    monkeypatch.setitem(sys.modules, "pynvml", None)  # a broken or absent one

    def plant(prints: str, status: int = 0) -> None:
        script = tmp_path / "nvidia-smi"
        asked = '"$*" = "--query-gpu=memory.used --format=csv,noheader,nounits"'
        script.write_text(
            f"#!/bin/sh\n[ {asked} ] || exit 2\ncat <<'END'\n{prints}\nEND\nexit {status}\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return plant


def nvml(*used: int | None, starts: bool = True) -> Any:
    """Stand in for the module `pynvml`; None is a GPU that does not tell."""

    class NVMLError(Exception):
        pass

    def fail(*_: Any) -> Any:
        msg = "Not Supported"
        raise NVMLError(msg)

    def memory(index: int) -> Any:
        number = used[index]
        return fail() if number is None else SimpleNamespace(used=number, free=0, total=number)

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=(lambda: None) if starts else fail,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(used),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=memory,
    )


@pytest.mark.parametrize(
    ("prints", "used"),
    [
        ("1234", 1234),
        ("40536\n3\n0\n81069", 40536 + 3 + 81069),
        ("512 MiB", 512),  # a driver that does not know nounits
        ("[N/A]", None),  # DGX Spark
        ("[Not Supported]", None),
        ("[N/A]\n24000", 24000),  # one of each kind
        ("[Unknown Error]\n[GPU is lost]", None),
        ("[Insufficient Permissions]", None),
        ("No devices were found", None),
        ("", None),
        ("²", None),
    ],
)
def test_what_nvidia_smi_prints_is_added_up(smi: Smi, prints: str, used: int | None) -> None:
    smi(prints, 0)
    assert gpu_used() == (None if used is None else used * MIB)


def test_a_driver_that_cannot_be_reached_is_no_memory(smi: Smi) -> None:
    smi("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. 12", 9)
    assert gpu_used() is None


@pytest.mark.parametrize(
    ("module", "used"),
    [
        (nvml(3 * MIB, 4 * MIB), 7 * MIB),
        (nvml(None), None),  # DGX Spark
        (nvml(None, 5 * MIB), 5 * MIB),
        (nvml(0), 0),
        (nvml(), None),
        (nvml(1, starts=False), None),
    ],
)
def test_nvml_is_asked_where_nvidia_smi_tells_nothing(
    smi: Smi, monkeypatch: pytest.MonkeyPatch, module: Any, used: int | None
) -> None:
    smi("[N/A]", 0)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert gpu_used() == used


def looks(run: Callable[[Sequence[str]], str], times: int, *, here: bool = True) -> list[Any]:
    """Look at the memory a few times; `/api/ps` tells one model with half of it on a GPU."""

    def ps(_request: httpx.Request) -> httpx.Response:
        model = {"name": "m:1b", "size": 8 * MIB, "size_vram": 4 * MIB}
        return httpx.Response(200, json={"models": [model]})

    async def main() -> list[Any]:
        transport = httpx.MockTransport(ps)
        async with httpx.AsyncClient(transport=transport, base_url="http://ollama") as client:
            memory = Memory(Around(client, lambda: 0.0), "m:1b", here=here, run=run)
            return [await memory.look(float(n), "load") for n in range(times)]

    return asyncio.run(main())


def test_nvidia_smi_that_is_slow_once_under_load_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    answers = iter(["100", None, "900"])

    def run(argv: Sequence[str]) -> str:
        said = next(answers)
        if said is None:
            msg = f"{argv[0]} did not answer within 5 s"
            raise CommandError(msg)
        return said

    assert [one.gpu for one in looks(run, 3)] == [100 * MIB, None, 900 * MIB]


def test_nvidia_smi_that_never_told_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    asked = []

    def run(argv: Sequence[str]) -> str:
        asked.append(argv)
        return "[N/A]\n"

    found = looks(run, 3)
    assert [one.gpu for one in found] == [None, None, None]
    assert len(asked) == 1
    assert {(one.model, one.vram) for one in found} == {(8 * MIB, 4 * MIB)}
    assert all(one.host for one in found)  # where unified memory is


def test_of_a_server_elsewhere_only_what_it_tells_is_known() -> None:
    def run(_argv: Sequence[str]) -> str:
        raise AssertionError

    (found,) = looks(run, 1, here=False)
    assert (found.vram, found.gpu, found.host) == (4 * MIB, None, None)


@pytest.mark.parametrize("text", ["", "MemTotal: 12 kB", "MemTotal: x kB\nMemAvailable: 1 kB"])
def test_memory_that_is_told_in_no_known_way_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(text)
    assert host_used(tmp_path) is None
    assert host_used(tmp_path / "nowhere") is None
