"""Public test doubles: a server that speaks Ollama's protocol, embedders, a manual clock."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aegis_llm.testing.clock import Clock, ManualClock, SystemClock
    from aegis_llm.testing.embedders import Embedder, best_embedder
    from aegis_llm.testing.faults import Faults
    from aegis_llm.testing.minilm import MiniLM
    from aegis_llm.testing.models import SimulatedModel
    from aegis_llm.testing.ngrams import HashedNgrams
    from aegis_llm.testing.simulator import Call, OllamaSimulator
    from aegis_llm.testing.slots import Timing

__all__ = [
    "Call",
    "Clock",
    "Embedder",
    "Faults",
    "HashedNgrams",
    "ManualClock",
    "MiniLM",
    "OllamaSimulator",
    "SimulatedModel",
    "SystemClock",
    "Timing",
    "best_embedder",
]

_HOMES = {
    "Call": "simulator",
    "Clock": "clock",
    "Embedder": "embedders",
    "Faults": "faults",
    "HashedNgrams": "ngrams",
    "ManualClock": "clock",
    "MiniLM": "minilm",
    "OllamaSimulator": "simulator",
    "SimulatedModel": "models",
    "SystemClock": "clock",
    "Timing": "slots",
    "best_embedder": "embedders",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
