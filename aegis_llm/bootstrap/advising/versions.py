"""What each version of Ollama does by itself; read in its source, tag by tag. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aegis_llm.bootstrap.facts import Gpu, ModelFacts
from aegis_llm.bootstrap.variables import ENGINE, ONE_SLOT, release

CURRENT = (0, 33, 0)
_ONE_SLOT = (
    ((0, 0, 0), ("mllama",)),
    ((0, 12, 7), ("qwen3vl", "qwen3vlmoe")),
    ((0, 15, 5), ("qwen3next", "lfm2", "lfm2moe")),
    ((0, 17, 1), ("qwen35", "qwen35moe", "nemotron_h", "nemotron_h_moe")),
    ((0, 22, 0), ("nemotron_h_omni",)),
)
_FLASH = (
    ((0, 11, 8), ("gptoss", "gpt-oss")),
    ((0, 12, 4), ("qwen3", "qwen3moe")),
    ((0, 12, 6), ("gemma3",)),
    ((0, 12, 8), ("qwen3vl", "qwen3vlmoe")),
    ((0, 13, 2), ("mistral3",)),
    ((0, 13, 4), ("olmo3",)),
    ((0, 13, 5), ("bert",)),
    ((0, 14, 3), ("glm4moelite", "lfm2")),
    ((0, 15, 5), ("glmocr", "qwen3next")),
    ((0, 17, 1), ("lfm2moe", "qwen35", "qwen35moe")),
    ((0, 20, 4), ("gemma4",)),
)


@dataclass(frozen=True)
class Release:
    """One version of Ollama.

    Attributes:
        text: As it is shown.
        numbers: Without `-rc1` and the like, which have what the release has.
        known: Whether it was told; else the current one is meant.
    """

    text: str
    numbers: tuple[int, int, int]
    known: bool = True

    def since(self, *numbers: int) -> bool:
        """Return whether it is this version or a later one."""
        return self.numbers >= numbers

    @property
    def new_engine(self) -> bool:
        """Return whether its models are llama-servers."""
        return self.since(*ENGINE)


def release_of(text: str | None) -> Release:
    """Return the version that a text tells; the current one where it tells none."""
    numbers = release(text)
    if numbers is None:
        return Release(".".join(map(str, CURRENT[:2])), CURRENT, known=False)
    return Release((text or "").strip().removeprefix("v"), numbers)


def has_one_slot(release: Release, architecture: str | None) -> bool:
    """Return whether this version gives the family one slot, whatever it is told."""
    return any(release.numbers >= since and architecture in names for since, names in _ONE_SLOT)


def flash_by_itself(release: Release, model: ModelFacts) -> bool:
    """Return whether flash attention is on for the model where nothing is set."""
    if release.new_engine:
        return model.architecture != "grok"
    arch = model.architecture
    return any(release.numbers >= since and arch in names for since, names in _FLASH)


def can_flash(release: Release, model: ModelFacts) -> bool:
    """Return whether the model can have flash attention at all.

    llama.cpp turns it off for grok. The engines before 0.30 have none for embedding models,
    gemma2, and heads whose keys and values differ in length.
    """
    if model.architecture == "grok":
        return False
    if release.new_engine:
        return True
    alike = model.value_length in (None, model.key_length)
    return not model.embeds and model.architecture != "gemma2" and alike


def gpu_can_flash(gpu: Gpu) -> bool:
    """Return whether Ollama gives a GPU flash attention; true where its kind is not known.

    NVIDIA's need compute capability 6.0, and 7.2 has none (`cudaFlashAttentionSupported`).
    """
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", gpu.capability or "")
    if gpu.vendor != "nvidia" or found is None:
        return True
    both = int(found[1]), int(found[2])
    return both >= (6, 0) and both != (7, 2)


def cache_types(release: Release, model: ModelFacts, *, flash: bool = True) -> tuple[str, ...]:
    """Return the types of KV cache that work for the model, the best first.

    Quantized ones need flash attention, of the model and of the GPUs (`flash`), and heads of a
    multiple of 32 numbers. From 0.30 on a model does not load where that is not so.
    """
    if not flash or not release.since(0, 5, 0) or not can_flash(release, model):
        return ("f16",)
    lengths = [model.key_length, model.value_length]
    lengths += [model.window_key_length, model.window_value_length]
    if not any(lengths) and model.embedding_length and model.heads:
        lengths = [model.embedding_length // model.heads]
    if model.latent is None and any(length and length % 32 for length in lengths):
        return ("f16",)
    return "f16", "q8_0", "q4_0"


def default_slots(release: Release) -> str:
    """Return the number of slots where nothing is set, in words."""
    return "1" if release.since(*ONE_SLOT) else "chosen by the server, at most 4"
