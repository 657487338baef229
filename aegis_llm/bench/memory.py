"""How much memory everything takes at one moment: the model, GPUs, the machine, Redis."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis.exceptions

from aegis_llm.bench.sending import Around, DownError
from aegis_llm.bench.values import Sample
from aegis_llm.bootstrap.probing.commands import CommandError, Run, run_command
from aegis_llm.bootstrap.probing.elsewhere import optional
from aegis_llm.errors import AegisError
from aegis_llm.stores.redis_clients import sync_client

_TIMEOUT_S = 2.0
_MEBIBYTES = re.compile(r"([0-9]{1,9})(?: MiB)?")


class Memory:
    """Looks at the memory; what cannot be had is left out, and never asked for twice in vain.

    Args:
        around: Asks `/api/ps`.
        model: Its canonical name.
        here: Whether the server runs on this machine: of another one nothing else is known.
        redis_url: A Redis server to ask; None: there is none.
    """

    def __init__(
        self,
        around: Around,
        model: str,
        *,
        here: bool,
        redis_url: str | None = None,
        run: Run = run_command,
        root: Path = Path("/"),
    ) -> None:
        self._around = around
        self._model = model
        self._redis_url = redis_url
        self._run = run
        self._root = root
        self._gpus = self._host = here
        self._told = False

    async def look(self, at: float, when: str, phase: str = "") -> Sample:
        """Return what is in use now."""
        loaded: Mapping[str, Any] = {}
        with contextlib.suppress(DownError):
            loaded = await self._around.loaded(self._model) or {}
        gpu, host, used = await asyncio.to_thread(self._here)
        return Sample(
            at=round(at, 3),
            when=when,
            phase=phase,
            model=loaded.get("size"),
            vram=loaded.get("size_vram"),
            gpu=gpu,
            host=host,
            redis=used,
        )

    def _here(self) -> tuple[int | None, int | None, int | None]:
        return self._gpu(), self._main(), self._redis()

    def _gpu(self) -> int | None:
        if not self._gpus:
            return None
        found = gpu_used(self._run)
        # Who never told is not asked again; who did may be slow once, under load.
        self._gpus = self._told = self._told or found is not None
        return found

    def _main(self) -> int | None:
        if not self._host:
            return None
        found = host_used(self._root)
        self._host = found is not None
        return found

    def _redis(self) -> int | None:
        if self._redis_url is None:
            return None
        try:
            client = sync_client(self._redis_url, _TIMEOUT_S, _TIMEOUT_S)
            try:
                return int(client.info("memory")["used_memory"])
            finally:
                client.close()
        except (redis.exceptions.RedisError, AegisError, OSError, ValueError, KeyError, TypeError):
            self._redis_url = None
            return None


def gpu_used(run: Run = run_command) -> int | None:
    """Return the bytes in use on all NVIDIA GPUs, by nvidia-smi, else NVML; None: not known.

    GPUs that do not tell are left out: the memory of a DGX Spark (GB10) or a Jetson is the main
    memory, and nvidia-smi says `[N/A]` of it, NVML that it is not supported.
    """
    try:
        said = run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"])
    except CommandError:
        return _by_library()
    cells = [_MEBIBYTES.fullmatch(line.strip()) for line in said.splitlines()]
    numbers = [int(cell[1]) for cell in cells if cell]
    return sum(numbers) << 20 if numbers else _by_library()


def _by_library() -> int | None:
    nvml = optional("pynvml")
    if nvml is None:
        return None
    try:
        nvml.nvmlInit()
    except Exception:  # noqa: BLE001 - its errors share no public base in all versions
        return None
    used = []
    try:
        for index in range(int(nvml.nvmlDeviceGetCount())):
            with contextlib.suppress(Exception):  # this one does not tell, the next one may
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                used.append(int(nvml.nvmlDeviceGetMemoryInfo(handle).used))
    except Exception:  # noqa: BLE001 - as above
        return None
    finally:
        with contextlib.suppress(Exception):
            nvml.nvmlShutdown()
    return sum(used) if used else None


def host_used(root: Path = Path("/")) -> int | None:
    """Return the bytes of main memory in use, by /proc/meminfo; None: there is none."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        told = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return (told["MemTotal"] - told["MemAvailable"]) << 10
    except (OSError, ValueError, KeyError, IndexError):
        return None
