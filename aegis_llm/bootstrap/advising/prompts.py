"""What llama-server is told past Ollama: its prompt cache in main memory, and threads. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aegis_llm.bootstrap.advice import Setting, Workload
from aegis_llm.bootstrap.advising.fitting import Choice
from aegis_llm.bootstrap.advising.memory import Room
from aegis_llm.bootstrap.advising.plans import Server
from aegis_llm.bootstrap.advising.versions import Release
from aegis_llm.bootstrap.advising.words import GIB, MIB, counted, gib, kib
from aegis_llm.bootstrap.facts import Facts, ModelFacts

CACHE_RAM = "LLAMA_ARG_CACHE_RAM"
THREADS = "LLAMA_ARG_THREADS"
_LEAST = 512 * MIB
_DEFAULT = 8 * GIB


@dataclass(frozen=True)
class PromptCache:
    """The cache of prompts in main memory, of each model that writes.

    Attributes:
        size: Bytes; None: this version of Ollama has none.
        models: Those that may have one at the same time.
        arithmetic: How the size came about.
        by_default: Whether the server takes that size by itself.
    """

    size: int | None
    models: int
    arithmetic: str
    by_default: bool = False

    @property
    def total(self) -> int:
        """Return the bytes of all of them."""
        return (self.size or 0) * self.models


def prompt_cache(
    workload: Workload, models: Sequence[ModelFacts], choice: Choice, server: Server
) -> PromptCache:
    """Return a cache that holds the shared prefixes, within what main memory has left."""
    room = server.room
    names = [model.name for model in models if not model.embeds]
    writing = [one for one in choice.plans if one.name in names]
    if not server.release.new_engine or not writing:
        return PromptCache(None, 0, "")
    count = min(len(writing), choice.loaded)
    if room.host is None:
        said = f"free main memory is not known, so the least: {gib(_LEAST)}"
        return PromptCache(_LEAST, count, said)
    free = max(0, room.host - choice.used) if room.shared else room.host
    most = free // 4 // count
    bound = f"a quarter of the {gib(free)} that main memory has left" + (
        f" for {count} models = {gib(most)}" if count > 1 else f" = {gib(most)}"
    )
    known = bool(workload.prefix_tokens) or workload.prefixes > 1
    scarce = "little memory is wanted" if workload.goal == "memory" else ""
    if not choice.holds:
        scarce = "what does not fit on the GPU takes main memory"
    wanted, said = _DEFAULT, "what prompts share is not known"
    if scarce:
        wanted, said = _LEAST, scarce
    elif known:
        per_token = max(one.per_token for one in writing)
        wanted = int(workload.prefixes * workload.prompt_tokens * per_token)
        said = (
            f"{counted(workload.prefixes, 'prefix', 'prefixes')}, each kept with its prompt of "
            f"{workload.prompt_tokens:,} tokens x {kib(per_token)} = {gib(wanted)}"
        )
    if not scarce and wanted <= _DEFAULT <= most:
        # A tight size would push prefixes out for every other prompt that is kept as well.
        said = f"{said}; {gib(_DEFAULT)} is no more than {bound}"
        return PromptCache(_DEFAULT, count, said, by_default=True)
    size = min(max(wanted, _LEAST), most) // MIB * MIB
    return PromptCache(size, count, f"{said}; at least {gib(_LEAST)}, at most {bound}")


def cache_setting(cache: PromptCache, release: Release) -> Setting:
    """Return the setting of the prompt cache."""
    if cache.size is None:
        reason = (
            "no model that writes is wanted; embeddings are never cached."
            if release.new_engine
            else "Ollama reads it from 0.30 on."
        )
        return Setting(name=CACHE_RAM, value=None, reason=reason, default="none")
    reason = (
        "llama-server keeps the prompts of slots that changed hands in main memory, by default "
        f"up to {gib(_DEFAULT)} for each loaded model, and `ollama ps` does not show it."
    )
    if cache.by_default:
        return Setting(
            name=CACHE_RAM,
            value=None,
            reason=f"{reason} There is room for that.",
            arithmetic=cache.arithmetic,
            default="8192 (MiB, for each model)",
        )
    if not cache.size:
        reason += " There is no room for it: 0 turns it off, and prefixes are read anew."
    return Setting(
        name=CACHE_RAM,
        value=str(cache.size // MIB),
        reason=reason,
        arithmetic=f"{cache.arithmetic}: {cache.size // MIB:,} MiB",
        default="8192 (MiB, for each model)",
    )


def threads(facts: Facts, room: Room) -> tuple[int | None, str]:
    """Return the threads to compute with, where the default is wrong, and the reason."""
    if room.place == "gpu":
        return None, "The GPU computes; threads of the processor hardly matter."
    cpu, ollama = facts.cpu, facts.ollama
    if cpu.physical_cores is None:
        return None, "The cores are not known; llama.cpp counts them itself."
    cores = min(cpu.physical_cores, cpu.logical_cores or cpu.physical_cores)
    if cores < cpu.physical_cores:
        return cores, f"Only {cores} of {cpu.physical_cores} cores may be used."
    fast = min(cpu.fast_cores or cores, cores)
    knows_them = facts.os == "macos" or (facts.os == "linux" and cpu.architecture == "x86-64")
    if fast < cores and not knows_them:
        said = f"{fast} of the {cores} cores are fast; each step waits for the slowest thread."
        return fast, said
    if ollama.installed in ("docker", "kubernetes"):
        said = "llama.cpp counts the cores of the machine, not those that the container may use."
        return fast, said
    said = f"The default is right: one thread for each physical core ({cores})."
    if cpu.logical_cores and cpu.logical_cores > cores:
        said += f" The {cpu.logical_cores} hyper-threads share them and add nothing."
    return None, said


def threads_setting(found: tuple[int | None, str], release: Release) -> Setting:
    """Return the setting of the threads; before 0.30 they are an option of the model."""
    count, reason = found
    if count is not None and not release.new_engine:
        reason += f" Before 0.30 only the option num_thread says so: {count}."
        count = None
    return Setting(
        name=THREADS,
        value=None if count is None else str(count),
        reason=reason,
        default="one for each physical core",
    )
