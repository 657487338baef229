"""How much memory the models may take, by the kind of machine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from aegis_llm.bootstrap.advice import Place
from aegis_llm.bootstrap.advising.words import GIB, counted, gib
from aegis_llm.bootstrap.facts import Facts, Gpu, Unknown

Kind = Literal["gpu", "unified", "cpu", "unknown"]
_MARGIN = GIB
_LEAST_KEPT, _MOST_KEPT = 4 * GIB, 8 * GIB
_NOTED = GIB
_GIVE = "--host-facts facts.json, or --profile"


@dataclass(frozen=True, kw_only=True)
class Room:
    """The memory of a machine.

    Attributes:
        kind: Where models compute.
        total: All there is in that place; None: not known.
        memory: What Ollama can have of it.
        parts: The same by GPU.
        arithmetic: How `memory` came about.
        host: Main memory that models and prompt caches can have; None: not known.
        vram: GPU memory in all, by which Ollama chooses a context length.
        notes: What a person should know.
    """

    kind: Kind
    total: int | None
    memory: int
    parts: tuple[int, ...] = ()
    arithmetic: str = ""
    host: int | None = None
    vram: int = 0
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    unknown: tuple[Unknown, ...] = ()

    @property
    def place(self) -> Place:
        """Return where models are."""
        return "gpu" if self.kind in ("gpu", "unified") else "host"

    @property
    def shared(self) -> bool:
        """Return whether prompt caches are in the same memory as the models."""
        return self.kind != "gpu"

    @property
    def usable(self) -> int:
        """Return what several models may take: Ollama unloads one above 80 % of what is free."""
        return self.memory * 4 // 5

    @property
    def alone(self) -> int:
        """Return what one slot of a single model may take: llama.cpp keeps 1 GiB of a GPU free."""
        return max(self.usable, self.memory - _MARGIN * max(1, len(self.parts)))


def room_of(facts: Facts) -> Room:
    """Return the memory that the facts tell."""
    if facts.gpus is None:
        why = "nothing tells whether there is a GPU"
        asked = Unknown(what="gpus", why=why, give=_GIVE)
        said = "no GPU is counted on, because nothing tells whether there is one"
        return _on_cpu(facts, assumed=(said,), unknown=(asked,))
    own = [gpu for gpu in facts.gpus if not _is_shared(gpu, facts)]
    if own:
        return _on_gpus(own, facts)
    if facts.gpus:
        return _in_shared(facts.gpus[0], facts)
    notes: tuple[str, ...] = ()
    if facts.unused_gpus:
        names = ", ".join(gpu.name for gpu in facts.unused_gpus)
        notes = (
            f"Ollama leaves {names} alone and computes on the processor; OLLAMA_IGPU_ENABLE=1 "
            "would have it try",
        )
    return _on_cpu(facts, notes=notes)


def _is_shared(gpu: Gpu, facts: Facts) -> bool:
    if gpu.vendor == "apple" or "GB10" in gpu.name:
        return True
    return bool(facts.memory.unified) if gpu.integrated is None else gpu.integrated


def _on_gpus(gpus: Sequence[Gpu], facts: Facts) -> Room:
    sizes = [gpu.memory for gpu in gpus if gpu.memory is not None]
    if len(sizes) < len(gpus):
        names = ", ".join(gpu.name for gpu in gpus if gpu.memory is None)
        asked = Unknown(what="gpus.memory", why=f"{names} does not tell its memory", give=_GIVE)
        return Room(kind="unknown", total=None, memory=0, unknown=(asked,), host=_host(facts))
    total = sum(sizes)
    own = sum(one.size_vram for one in facts.loaded)
    free = [gpu.memory if gpu.free is None else gpu.free for gpu in gpus]
    others = max(0, total - sum(size or 0 for size in free) - own)
    notes = []
    if others >= _NOTED:
        notes.append(f"other programs hold {gib(others)} of the GPU memory; it is not counted on")
    if len(gpus) > 1:
        notes.append(
            f"a model that fits on one of the {len(gpus)} GPUs is put there whole; a larger one "
            "is split by layers, slots and all. The GPUs then work in turn: memory adds up, "
            "the speed of an answer does not"
        )
    memory = max(0, total - others)
    shown = f"{counted(len(gpus), 'GPU')}, {gib(total)}"
    return Room(
        kind="gpu",
        total=total,
        memory=memory,
        parts=tuple(memory * size // total for size in sizes) if total else (),
        arithmetic=f"{shown} - {gib(others)} of others" if others else shown,
        host=_host(facts),
        vram=total,
        notes=tuple(notes),
    )


def _in_shared(gpu: Gpu, facts: Facts) -> Room:
    free = _host(facts)
    if free is None:
        return _without(facts)
    held = sum(one.size for one in facts.loaded)
    of_gpu = [] if gpu.free is None else [gpu.free + held]
    reach = min([*of_gpu, *([] if gpu.memory is None else [gpu.memory])], default=free)
    kept = min(_MOST_KEPT, max(_LEAST_KEPT, free // 16))
    said = f"{gib(free)} of main memory - {gib(kept)} for all else"
    if reach < free - kept:
        # Metal leaves that to all else already: Ollama takes what the GPU reaches, too.
        said = f"{gib(reach)} that the GPU reaches, less than {said}"
    return Room(
        kind="unified",
        total=facts.memory.total or free,
        memory=max(0, min(reach, free - kept)),
        arithmetic=said,
        host=max(0, free - kept),
        vram=facts.memory.total or free if gpu.memory is None else gpu.memory,
        assumed=_assumed(facts),
    )


def _on_cpu(
    facts: Facts,
    *,
    notes: tuple[str, ...] = (),
    assumed: tuple[str, ...] = (),
    unknown: tuple[Unknown, ...] = (),
) -> Room:
    free = _host(facts)
    if free is None:
        return _without(facts, unknown)
    return Room(
        kind="cpu",
        total=facts.memory.total or free,
        memory=free // 2,
        arithmetic=f"half of {gib(free)}: the rest is for the file cache and other programs",
        host=free,
        notes=notes,
        assumed=assumed + _assumed(facts),
        unknown=unknown,
    )


def _without(facts: Facts, unknown: tuple[Unknown, ...] = ()) -> Room:
    asked = Unknown(what="memory.total", why="nothing tells how much memory there is", give=_GIVE)
    return Room(kind="unknown", total=None, memory=0, unknown=(*unknown, asked), host=None)


def _host(facts: Facts) -> int | None:
    """Return the main memory that is free when Ollama has unloaded what it holds now."""
    memory = facts.memory
    if memory.available is None:
        return memory.total
    held = sum(one.size - min(one.size, one.size_vram) for one in facts.loaded)
    if not any(gpu.memory for gpu in facts.gpus or () if not _is_shared(gpu, facts)):
        held = sum(one.size for one in facts.loaded)
    free = memory.available + held
    return free if memory.total is None else min(free, memory.total)


def _assumed(facts: Facts) -> tuple[str, ...]:
    if facts.memory.available is None and facts.memory.total is not None:
        return ("all of the main memory is free, because nothing tells what is",)
    return ()
