"""Machines and models for the tests of the advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from aegis_llm.bootstrap.advice import Advice, Setting, Workload
from aegis_llm.bootstrap.advising import advise
from aegis_llm.bootstrap.advising.shipped import shapes
from aegis_llm.bootstrap.facts import Cpu, Facts, Gpu, Memory, ModelFacts, Ollama

GIB = 2**30
GOLDEN = Path(__file__).parent / "golden"
QUALITY = ("q4_0", "q8_0", "f16")


def card(gib: float = 24, **more: Any) -> Facts:
    """Return a PC with one graphics card and the current Ollama."""
    gpu = Gpu(vendor="nvidia", name="NVIDIA Card", memory=int(gib * GIB), integrated=False)
    return machine(gpus=(gpu,), **more)


def spark(gib: float = 120, **more: Any) -> Facts:
    """Return a DGX Spark."""
    gpu = Gpu(vendor="nvidia", name="NVIDIA GB10", integrated=True)
    memory = Memory(total=int(gib * GIB), available=int(gib * GIB), unified=True)
    return machine(gpus=(gpu,), memory=memory, **more)


def processor(gib: float = 64, cores: int = 16, **more: Any) -> Facts:
    """Return a machine without a GPU."""
    memory = Memory(total=int(gib * GIB), available=int(gib * GIB))
    cpu = more.pop("cpu", Cpu(physical_cores=cores, logical_cores=cores, fast_cores=cores))
    return machine(gpus=(), memory=memory, cpu=cpu, **more)


def machine(*, version: str | None = "0.33.0", ollama: Any = None, **more: Any) -> Facts:
    """Return a Linux machine of 64 GiB."""
    memory = Memory(total=64 * GIB, available=64 * GIB)
    server = ollama or Ollama(version=version)
    return Facts(**{"os": "linux", "memory": memory, "ollama": server, **more})


def model(name: str = "llama3.1:8b", **changed: Any) -> ModelFacts:
    """Return a known model, changed."""
    found = next(one for one in shapes().models if one.name == name)
    return msgspec.structs.replace(found, **changed)


def advice(facts: Facts, *models: ModelFacts | str, **asked: Any) -> Advice:
    """Return the advice for models that are on the server."""
    chosen = tuple(model(one) if isinstance(one, str) else one for one in models or (model(),))
    with_models = msgspec.structs.replace(facts, models=chosen)
    return advise(with_models, Workload(models=tuple(one.name for one in chosen), **asked))


def setting(found: Advice, name: str) -> Setting:
    """Return one setting."""
    return next(one for one in found.settings if one.name.endswith(name))


def golden(name: str) -> dict[str, Any]:
    """Return one golden case."""
    loaded: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return loaded
