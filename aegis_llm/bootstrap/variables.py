"""The environment variables that Ollama reads, in which releases, and what they do. Pure.

Made from the sources of the releases 0.1.20 to 0.33.0: a variable is listed from the first to
the last release that reads it.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from aegis_llm.config.go_values import FOREVER, bare, go_bool, go_uint, seconds, shown

Kind = Literal["switch", "number", "duration", "level", "text", "cache type"]
Release = tuple[int, int, int]

ENGINE: Release = (0, 30, 0)
"""From here on models run in llama-server, a child that inherits the environment."""
TIERS: Release = (0, 15, 5)
"""From here on the default context follows the GPUs' memory."""
_TIER_SIZES = ((47 << 30, 262_144), (23 << 30, 32_768), (0, 4096))
ONE_SLOT: Release = (0, 10, 0)
"""From here on a model has one slot unless more are asked for."""


class Variable(msgspec.Struct, frozen=True):
    """A variable that some release reads.

    Attributes:
        default: What holds when it is unset or empty.
        since: The first release that reads it.
        what: What it does, as the end of the sentence "it ...".
        gone: The first release that reads it no more.
        instead: What to do in place of one that is gone.
    """

    name: str
    kind: Kind
    default: str
    since: Release
    what: str
    gone: Release | None = None
    instead: str = ""


class Reading(msgspec.Struct, frozen=True):
    """What Ollama makes of a value.

    Attributes:
        value: In the form in which Ollama logs it; the default where the value cannot be read.
        readable: Whether the value could be read; if not, Ollama goes on all the same.
    """

    value: str
    readable: bool = True


def _gone(name: str, since: Release, gone: Release, what: str, instead: str) -> Variable:
    return Variable(name, "text", "", since, what, gone, instead)


_ALL = (
    Variable("CUDA_VISIBLE_DEVICES", "text", "all", (0, 1, 33), "chooses NVIDIA GPUs"),
    Variable("GGML_VK_VISIBLE_DEVICES", "text", "all", (0, 12, 6), "chooses Vulkan GPUs"),
    Variable("GPU_DEVICE_ORDINAL", "text", "all", (0, 1, 33), "chooses AMD GPUs by number"),
    Variable("HIP_VISIBLE_DEVICES", "text", "all", (0, 1, 29), "chooses AMD GPUs by number"),
    Variable("HSA_OVERRIDE_GFX_VERSION", "text", "", (0, 1, 29), "renames an AMD GPU"),
    Variable("ROCR_VISIBLE_DEVICES", "text", "all", (0, 1, 22), "chooses AMD GPUs"),
    Variable("OLLAMA_AUTH", "switch", "false", (0, 8, 0), "signs requests"),
    Variable("OLLAMA_CLOUD_BASE_URL", "text", "", (0, 18, 0), "is the address of the cloud"),
    Variable("OLLAMA_CONTEXT_LENGTH", "number", "0", (0, 5, 13), "sets the tokens of a slot"),
    Variable("OLLAMA_DEBUG", "level", "info", (0, 1, 21), "has more logged"),
    Variable("OLLAMA_DEBUG_LOG_REQUESTS", "switch", "false", (0, 18, 3), "logs requests"),
    Variable("OLLAMA_EDITOR", "text", "", (0, 16, 0), "names an editor for `ollama run`"),
    Variable("OLLAMA_EXPERIMENT", "text", "", (0, 6, 0), "turns experiments on"),
    Variable("OLLAMA_FLASH_ATTENTION", "switch", "", (0, 1, 39), "sets flash attention"),
    Variable("OLLAMA_GO_TEMPLATE", "switch", "true", (0, 30, 0), "renders templates in Ollama"),
    Variable("OLLAMA_GPU_OVERHEAD", "number", "0", (0, 3, 10), "sets bytes aside on each GPU"),
    Variable("OLLAMA_HOST", "text", "127.0.0.1:11434", (0, 1, 20), "is the address"),
    Variable("OLLAMA_IGPU_ENABLE", "switch", "", (0, 30, 0), "allows integrated GPUs"),
    Variable("OLLAMA_KEEP_ALIVE", "duration", "5m", (0, 1, 29), "keeps idle models loaded"),
    Variable("OLLAMA_KV_CACHE_TYPE", "cache type", "f16", (0, 5, 0), "quantizes the KV cache"),
    Variable("OLLAMA_LIBRARY_PATH", "text", "", (0, 6, 7), "names a folder of libraries"),
    Variable("OLLAMA_LLAMA_CPP_COMPAT", "text", "", (0, 30, 0), "chooses how models are read"),
    Variable("OLLAMA_LLM_LIBRARY", "text", "", (0, 1, 21), "chooses the library for the GPU"),
    Variable("OLLAMA_LOAD_TIMEOUT", "duration", "5m", (0, 3, 10), "ends a load that stalls"),
    Variable("OLLAMA_MAX_LOADED_MODELS", "number", "0", (0, 1, 33), "limits the loaded models"),
    Variable("OLLAMA_MAX_QUEUE", "number", "512", (0, 1, 34), "limits who waits for a load"),
    Variable("OLLAMA_MAX_TRANSFER_STREAMS", "number", "4", (0, 23, 3), "limits downloads at once"),
    Variable("OLLAMA_MODELS", "text", "", (0, 1, 20), "is the folder of the models"),
    Variable("OLLAMA_NOHISTORY", "switch", "false", (0, 1, 39), "keeps no history"),
    Variable("OLLAMA_NOPRUNE", "switch", "false", (0, 1, 20), "keeps unused blobs"),
    Variable("OLLAMA_NO_CLOUD", "switch", "false", (0, 16, 2), "turns cloud models off"),
    Variable("OLLAMA_NUM_PARALLEL", "number", "1", (0, 1, 33), "sets the slots of each model"),
    Variable("OLLAMA_ORIGINS", "text", "", (0, 1, 20), "allows web pages"),
    Variable("OLLAMA_REMOTES", "text", "ollama.com", (0, 12, 0), "allows remote hosts"),
    Variable("OLLAMA_SCHED_SPREAD", "switch", "false", (0, 1, 45), "spreads models over all GPUs"),
    Variable("OLLAMA_VULKAN", "switch", "", (0, 12, 11), "allows Vulkan"),
    _gone("OLLAMA_INTEL_GPU", (0, 1, 45), (0, 12, 11), "found Intel GPUs",
          "set OLLAMA_VULKAN=1"),
    _gone("OLLAMA_MAX_VRAM", (0, 1, 29), (0, 7, 0), "limited the GPU memory",
          "from 0.30 set LLAMA_ARG_FIT_TARGET to the MiB that shall stay free"),
    _gone("OLLAMA_MULTIUSER_CACHE", (0, 3, 13), (0, 30, 0), "shared prompts between slots",
          "take it away; LLAMA_ARG_CACHE_RAM sizes the prompt cache in host memory"),
    _gone("OLLAMA_NEW_ENGINE", (0, 5, 12), (0, 30, 0), "chose the engine", "take it away"),
    _gone("OLLAMA_NEW_ESTIMATES", (0, 11, 5), (0, 11, 11), "chose how memory is estimated",
          "take it away"),
    _gone("OLLAMA_REGISTRY_MAXSTREAMS", (0, 5, 13), (0, 31, 2), "limited downloads at once",
          "take it away"),
    _gone("OLLAMA_RUNNERS_DIR", (0, 1, 33), (0, 3, 11), "named a folder", "take it away"),
    _gone("OLLAMA_TMPDIR", (0, 1, 32), (0, 6, 6), "named a folder", "set TMPDIR"),
)  # fmt: skip
CATALOGUE: dict[str, Variable] = {one.name: one for one in _ALL}

_THREADS = (
    "give the option num_thread in requests or the Modelfile, or from 0.30 set LLAMA_ARG_THREADS"
)
_LAYERS = "give the option num_gpu in requests or the Modelfile; it is automatic otherwise"
NEVER: dict[str, str] = {
    "OLLAMA_NUM_THREADS": _THREADS,
    "OLLAMA_NUM_THREAD": _THREADS,
    "OLLAMA_THREADS": _THREADS,
    "OLLAMA_NUM_GPU": _LAYERS,
    "OLLAMA_GPU_LAYERS": _LAYERS,
    "OLLAMA_CUDA": "take it away; NVIDIA GPUs are found",
    "OLLAMA_NUM_CTX": "set OLLAMA_CONTEXT_LENGTH",
    "OLLAMA_NUM_BATCH": "give the option num_batch in requests or the Modelfile",
    "OLLAMA_BATCH_SIZE": "take it away; a request joins the running batch by itself",
    "OLLAMA_BATCH_TIMEOUT": "take it away; a request joins the running batch by itself",
    "OLLAMA_CACHE_RAM": "from 0.30 set LLAMA_ARG_CACHE_RAM (MiB)",
    "OLLAMA_METRICS": "from 0.30 set LLAMA_ARG_ENDPOINT_METRICS=1 for those of each model",
}
"""Variables that people set and no release reads, with what to do instead."""

OF_CLIENTS = ("OLLAMA_API_KEY", "OLLAMA_BASE_URL", "OLLAMA_API_BASE", "OLLAMA_API_BASE_URL")
"""Variables of programs that speak to Ollama; the server does not read them."""

OVERRIDDEN: dict[str, str] = {
    "LLAMA_ARG_CTX_SIZE": "OLLAMA_CONTEXT_LENGTH",
    "LLAMA_ARG_N_PARALLEL": "OLLAMA_NUM_PARALLEL",
    "LLAMA_ARG_FLASH_ATTN": "OLLAMA_FLASH_ATTENTION",
    "LLAMA_ARG_BATCH": "the option num_batch",
    "LLAMA_ARG_UBATCH": "the option num_batch",
    "LLAMA_ARG_CONTEXT_SHIFT": "the field `shift` of a request",
    "LLAMA_ARG_MODEL": "the model that a request names",
    "LLAMA_ARG_HOST": "OLLAMA_HOST for the server; the child stays on 127.0.0.1",
    "LLAMA_ARG_PORT": "OLLAMA_HOST for the server; the child takes a free port",
    "LLAMA_ARG_OFFLINE": "nothing; the child is always offline",
    "LLAMA_ARG_LOG_VERBOSITY": "OLLAMA_DEBUG",
}
"""What Ollama gives to llama-server as a flag, which is stronger; with what to set instead."""


def release(version: str | None) -> Release | None:
    """Return `0.33.0-rc2` and `0.33` as numbers; None for what is none, and for 0.0.0.

    Builds of one's own call themselves 0.0.0: that tells nothing.
    """
    found = re.match(r"\s*v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?![0-9a-zA-Z])", version or "")
    numbers = (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)
    return numbers if any(numbers) else None


def default_context(version: Release, vram: int) -> int:
    """Return the tokens of a slot where nothing is set; `vram`: bytes of all GPUs together."""
    if version < TIERS:
        return 4096 if version >= (0, 6, 7) else 2048
    return next(context for least, context in _TIER_SIZES if vram >= least)


def dotted(numbers: Release) -> str:
    """Return a release as people write it."""
    major, minor, patch = numbers
    return f"{major}.{minor}.{patch}" if patch else f"{major}.{minor}"


def read(variable: Variable, text: str) -> Reading:
    """Return what Ollama makes of a value of a variable."""
    value = bare(text)
    if not value:
        default = variable.default
        return Reading(shown(seconds(default) or 0.0) if variable.kind == "duration" else default)
    if variable.kind == "switch":
        found = go_bool(value)
        return Reading("false" if found is False else "true", found is not None)
    if variable.kind == "number":
        number = go_uint(value)
        return Reading(variable.default if number is None else str(number), number is not None)
    if variable.kind == "duration":
        length = seconds(value)
        if length is None:
            return Reading(shown(300.0), readable=False)
        endless = length < 0 or (length == 0 and variable.name == "OLLAMA_LOAD_TIMEOUT")
        return Reading(shown(FOREVER if endless else length))
    if variable.kind == "level":
        level = "debug" if go_bool(value) else "trace" if value == "2" else "info"
        return Reading(level, go_bool(value) is not None or go_uint(value) is not None)
    return Reading(value)


def read_number(name: str, text: str) -> int:
    """Return the whole number that Ollama makes of a value of a variable of that kind."""
    return int(read(CATALOGUE[name], text).value)
