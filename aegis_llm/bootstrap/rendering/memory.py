"""What a container with a limit has to hold, as sentences. Pure."""

from __future__ import annotations

from aegis_llm.bootstrap.rendering.page import Page

_CACHE_MIB, _LOADED = 8192, 3
_GIB = 2**30


def memory_notes(page: Page) -> list[str]:
    """Return what the memory limit of a container has to be made of."""
    notes = [
        f"{model.name}: weights {model.weights / _GIB:.2f} + KV cache {model.kv / _GIB:.2f}"
        f" + compute {model.compute / _GIB:.2f} = {model.total / _GIB:.2f} GiB"
        for model in page.models
    ]
    loaded, of_what = _loaded(page)
    given = page.environment.get("LLAMA_ARG_CACHE_RAM", "")
    try:
        cache = int(given or _CACHE_MIB)
    except ValueError:
        return notes
    if cache < 0:
        notes.append(
            "LLAMA_ARG_CACHE_RAM=-1 sets no limit to the prompt cache, so no memory limit holds."
        )
    elif cache:
        default = "" if given else ", the default of Ollama 0.30 and later,"
        notes.append(
            f"Prompt cache in host memory: {cache} MiB{default} x {loaded} {of_what}"
            f" = {cache * loaded / 1024:.2f} GiB; resources.limits.memory has to hold it too."
        )
    return notes


def _loaded(page: Page) -> tuple[int, str]:
    """Return how many models may be loaded at once, and what they are."""
    try:
        most = int(page.environment.get("OLLAMA_MAX_LOADED_MODELS", "0")) or _LOADED
    except ValueError:
        most = _LOADED
    if page.models and len(page.models) <= most:
        return len(page.models), "model" if len(page.models) == 1 else "models"
    return most, "models (OLLAMA_MAX_LOADED_MODELS)"
