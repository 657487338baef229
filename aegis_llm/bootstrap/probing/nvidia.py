"""NVIDIA's graphics processors: through nvidia-smi, else NVML."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aegis_llm.bootstrap.facts import Gpu
from aegis_llm.bootstrap.probing.bandwidths import bandwidth_of
from aegis_llm.bootstrap.probing.commands import CommandError, Run

_FIELDS = ("name", "memory.total", "memory.free", "driver_version", "compute_cap")
_SHARED = re.compile(r"\bGB10\b|\bN1X\b|\bOrin\b|\bXavier\b|\bThor\b|Tegra|nvgpu", re.IGNORECASE)
_JETSONS = {"Thor": "11.0", "Orin": "8.7", "Xavier": "7.2", "TX2": "6.2", "Nano": "5.3"}
"""Compute capability by board, https://developer.nvidia.com/cuda-gpus."""


def by_command(run: Run) -> tuple[Gpu, ...]:
    """Return what nvidia-smi lists.

    Raises:
        CommandError: It is absent, fails, or prints something else.
    """
    fields: Sequence[str] = _FIELDS
    try:
        said = _query(run, fields)
    except CommandError as exc:
        if "valid field" not in str(exc):
            raise
        fields = _FIELDS[:-1]  # drivers before 510 do not know compute_cap
        said = _query(run, fields)
    if "no devices were found" in said.lower():
        return ()
    found = []
    for row in csv.reader(said.strip().splitlines()):
        if len(row) != len(fields):
            msg = "nvidia-smi printed something that is no list of GPUs"
            raise CommandError(msg)
        named = dict(zip(fields, (cell.strip() for cell in row), strict=True))
        found.append(
            gpu(
                _known(named["name"]) or "unnamed",
                _mebibytes(named["memory.total"]),
                _mebibytes(named["memory.free"]),
                _known(named.get("compute_cap", "")),
                _known(named["driver_version"]),
            )
        )
    return tuple(found)


def by_library(nvml: Any) -> tuple[Gpu, ...]:
    """Return what NVML lists; `nvml` is the module `pynvml`.

    Raises:
        CommandError: NVML is not usable.
    """
    try:
        nvml.nvmlInit()
    except Exception as exc:  # noqa: BLE001 - its errors share no public base in all versions
        msg = f"NVML does not start: {exc}"
        raise CommandError(msg) from None
    try:
        driver = _text(_tried(nvml.nvmlSystemGetDriverVersion))
        found = []
        for index in range(int(nvml.nvmlDeviceGetCount())):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = _tried(partial(nvml.nvmlDeviceGetMemoryInfo, handle))
            both = _tried(partial(nvml.nvmlDeviceGetCudaComputeCapability, handle))
            found.append(
                gpu(
                    _text(nvml.nvmlDeviceGetName(handle)) or "unnamed",
                    None if memory is None else int(memory.total),
                    None if memory is None else int(memory.free),
                    None if both is None else f"{both[0]}.{both[1]}",
                    driver,
                )
            )
    except Exception as exc:  # noqa: BLE001 - as above
        msg = f"NVML does not tell its GPUs: {exc}"
        raise CommandError(msg) from None
    finally:
        _tried(nvml.nvmlShutdown)
    return tuple(found)


def of_board(model: str) -> Gpu | None:
    """Return the GPU of a Jetson by the name of its board; None when it is none."""
    if "jetson" not in model.lower():
        return None
    capability = next((value for name, value in _JETSONS.items() if name in model), None)
    return gpu(model, None, None, capability, None, integrated=True)


def gpu(
    name: str,
    memory: int | None,
    free: int | None,
    capability: str | None,
    driver: str | None,
    *,
    integrated: bool | None = None,
) -> Gpu:
    """Return a GPU; what has no memory of its own is known by its name."""
    shares = bool(_SHARED.search(name)) if integrated is None else integrated
    return Gpu(
        vendor="nvidia",
        name=name,
        memory=None if shares else memory,
        free=None if shares or memory is None or (free or 0) > memory else free,
        capability=capability if re.fullmatch(r"\d+\.\d+", capability or "") else None,
        integrated=shares if shares or memory is not None else None,
        bandwidth=bandwidth_of(name),
        driver=driver,
    )


def _query(run: Run, fields: Sequence[str]) -> str:
    return run(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"])


def _known(cell: str) -> str | None:
    """Return what a cell says; `[N/A]`, `[Not Supported]` and `ERR!` say nothing."""
    said = cell.strip()
    return None if not said or said.startswith("[") or said in {"N/A", "ERR!"} else said


def _mebibytes(cell: str) -> int | None:
    digits = re.fullmatch(r"(\d{1,9})(?: MiB)?", _known(cell) or "")
    return int(digits[1]) << 20 if digits and int(digits[1]) else None


def _text(value: Any) -> str | None:
    """Return a name that older versions give as bytes."""
    if value is None:
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _tried(call: Callable[[], Any]) -> Any:
    """Return what one question gives; None where this GPU does not know (GB10: memory)."""
    try:
        return call()
    except Exception:  # noqa: BLE001 - as above: each question may be unsupported
        return None
