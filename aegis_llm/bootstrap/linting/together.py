"""Settings that do not go together, or not with the machine. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aegis_llm.bootstrap import kv, variables
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.linting.finding import Finding, found
from aegis_llm.bootstrap.variables import ENGINE, TIERS, Release
from aegis_llm.config.go_values import bare, go_bool, go_uint

_GIB = 1 << 30
_PLAIN = ("", "f32", "f16", "bf16")
_CACHE_RAM_MIB = 8192
_SHOWN = 3


def together(
    environment: Mapping[str, str], version: Release | None, facts: Facts | None
) -> Iterator[Finding]:
    """Yield what several settings do together."""
    given = {name: bare(value) for name, value in environment.items()}
    yield from _quantized(given, version)
    yield from _two_types(given)
    yield from _slots(given, version, facts)
    if facts is not None:
        yield from _prompt_caches(given, version, facts)


def default_context(version: Release | None, facts: Facts | None) -> int | None:
    """Return the context that models get when none is set; None: not known."""
    if version is None:
        return None
    if version < TIERS:
        return variables.default_context(version, 0)
    if facts is None or facts.gpus is None or any(gpu.memory is None for gpu in facts.gpus):
        return None
    return variables.default_context(version, sum(gpu.memory or 0 for gpu in facts.gpus))


def _quantized(given: Mapping[str, str], version: Release | None) -> Iterator[Finding]:
    name = "OLLAMA_KV_CACHE_TYPE"
    kind = given.get(name, "").lower()
    if kind in _PLAIN or kind not in kv.BYTES:
        return
    flash = given.get("OLLAMA_FLASH_ATTENTION", "")
    old = version is not None and version < ENGINE
    if flash and go_bool(flash) is False:
        then = "the cache stays at f16" if old else "no model loads"
        what = f"A cache of type {kind} needs flash attention, which is off: {then}"
        do = "Take OLLAMA_FLASH_ATTENTION away"
        yield found("quantized-no-flash", name, kind, "warning" if old else "error", what, do)
    elif old and not flash:
        what = f"Before 0.30 a cache of type {kind} needs OLLAMA_FLASH_ATTENTION=1, else it is f16"
        yield found("quantized-no-flash", name, kind, "warning", what,
                    "Set OLLAMA_FLASH_ATTENTION=1")  # fmt: skip


def _two_types(given: Mapping[str, str]) -> Iterator[Finding]:
    if not given.get("OLLAMA_KV_CACHE_TYPE"):
        return
    for name in ("LLAMA_ARG_CACHE_TYPE_K", "LLAMA_ARG_CACHE_TYPE_V"):
        if given.get(name):
            what = "OLLAMA_KV_CACHE_TYPE is given as a flag, which is stronger"
            yield found("overridden", name, given[name], "warning", what,
                        "Take one of the two away")  # fmt: skip


def _slots(
    given: Mapping[str, str], version: Release | None, facts: Facts | None
) -> Iterator[Finding]:
    name = "OLLAMA_NUM_PARALLEL"
    slots = go_uint(given.get(name, "")) or 1
    context = given.get("OLLAMA_CONTEXT_LENGTH", "")
    if slots < 2:
        return
    if facts is not None and facts.models and all(_single(one) for one in facts.models):
        what = "Each installed model has one slot whatever is set: it embeds or is recurrent"
        yield found("one-slot", name, str(slots), "note", what, "Take it away")
        return
    if go_uint(context) or (version is not None and version < TIERS):
        return
    size = default_context(version, facts)
    if size is None:
        what = (
            "Without a context length each slot gets 4096, 32768 or 262144 tokens, by the memory "
            "of the GPUs, and all of it is reserved"
        )
        yield found("slots-no-context", name, str(slots), "warning", what, _set_context())
    elif size > 4096:
        cost = _cost(given, size, slots, facts)
        what = f"Without a context length each of {slots} slots gets {size} tokens{cost}"
        yield found("slots-no-context", name, str(slots), "error", what, _set_context())


def _set_context() -> str:
    return "Set OLLAMA_CONTEXT_LENGTH to the longest prompt and answer that are wanted"


def _cost(given: Mapping[str, str], size: int, slots: int, facts: Facts | None) -> str:
    """Return what the caches of the installed models take at this context."""
    kind = given.get("OLLAMA_KV_CACHE_TYPE", "").lower() or "f16"
    if facts is None or kind not in kv.BYTES:
        return ""
    known = [one for one in facts.models if kv.is_known(one) and not one.embeds]
    sizes = sorted(((_reserved(one, size, slots, kind), one.name) for one in known), reverse=True)
    if not sizes:
        return ""
    told = [f"{amount / _GIB:.1f} GiB for {name}" for amount, name in sizes[:_SHOWN]]
    more = f" and {len(sizes) - _SHOWN} models more" if len(sizes) > _SHOWN else ""
    return f": {', '.join(told)}{more}"


def _reserved(model: ModelFacts, size: int, slots: int, kind: str) -> int:
    context = min(size, model.trained_context or size)
    return kv.kv_bytes(model, context, 1 if _single(model) else slots, kind)


def _single(model: ModelFacts) -> bool:
    return model.embeds or model.recurrent or model.model_format != "gguf"


def _prompt_caches(
    given: Mapping[str, str], version: Release | None, facts: Facts
) -> Iterator[Finding]:
    """Yield the prompt caches in host memory: 8 GiB for each loaded model unless limited."""
    name, total = "LLAMA_ARG_CACHE_RAM", facts.memory.total
    if version is None or version < ENGINE or not total:
        return
    text = given.get(name, "")
    gpus = max(1, len(facts.gpus or ()))
    models = go_uint(given.get("OLLAMA_MAX_LOADED_MODELS", "")) or 3 * gpus
    chat = sum(not one.embeds for one in facts.models)
    models = min(models, chat or models)
    if text == "-1":
        what = "The prompt cache of each model grows without a limit, in host memory"
        yield found("prompt-cache", name, text, "warning", what, "Write MiB, 2048 for example")
    elif not text and models * (_CACHE_RAM_MIB << 20) > total // 2:
        what = (
            f"The prompt cache may take 8 GiB of host memory for each of {models} models; "
            f"there are {total / _GIB:.1f} GiB, and `ollama ps` does not show it"
        )
        do = f"Set {name}={max(256, (total >> 22) // models // 256 * 256)} (MiB)"
        yield found("prompt-cache", name, "", "warning", what, do)
