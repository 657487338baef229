"""The server settings of the study of 2025, what each does, and why another value is better."""

from __future__ import annotations

from aegis_llm.bootstrap.advising.versions import Release

STUDY = {
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_NUM_THREADS": "16",
    "OLLAMA_MAX_LOADED_MODELS": "3",
    "OLLAMA_KEEP_ALIVE": "30m",
    "OLLAMA_FLASH_ATTENTION": "0",
}
"""Its block, in its order."""
NO_THREADS = (
    "No release of Ollama reads it. Threads are the option num_thread, or LLAMA_ARG_THREADS from "
    "0.30 on."
)
NO_FLASH = (
    "Off is harmful: what lacks sm_121 is a Python package of that name; Ollama has kernels for "
    "it since 0.11.11. Off, a quantized KV cache {loads}, and prompts are read in small batches."
)


def no_flash(release: Release) -> str:
    """Return what turning flash attention off does to this version."""
    loads = "does not load" if release.new_engine else "is ignored"
    return NO_FLASH.format(loads=loads)


def slots_differ(slots: int, why: str) -> str:
    """Return why the slots are others than the study's; empty when they are the same."""
    if slots == 4:
        return (
            "The number is the same; the study sets no context length with it, and each slot "
            "then reserves the server's default."
        )
    return (
        f"4 is a guess for every machine; here it is {slots}: {why}. It also sets no context "
        "length, and each slot then reserves the server's default."
    )


def loaded_differ(value: str | None, default: int) -> str:
    """Return why the number of loaded models is another one."""
    if value == "3":
        return ""
    if value is None and default == 3:
        return "3 is the default here: setting it changes nothing."
    if default == 3:
        return f"3 is the default here: setting it changes nothing. {value} is what is planned."
    return f"With several GPUs the default is {default}, and what fits is counted here."


def kept_differ(value: str | None) -> str:
    """Return why models are kept another time."""
    if value == "30m":
        return ""
    if value == "-1":
        return "A pause of half an hour would unload a model that nothing else wants the room of."
    if value is None:
        return "The default of 5 minutes gives the memory back sooner, and that is the goal."
    return "It was given."
