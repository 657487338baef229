"""The type of the KV cache, and flash attention, which quantized types need. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.bootstrap.advice import Goal, Setting
from aegis_llm.bootstrap.advising.fitting import Choice
from aegis_llm.bootstrap.advising.plans import Server
from aegis_llm.bootstrap.advising.study import STUDY, no_flash
from aegis_llm.bootstrap.advising.versions import can_flash, flash_by_itself
from aegis_llm.bootstrap.advising.words import listed
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.kv import is_cacheless
from aegis_llm.config.go_values import bare, go_bool

KV_TYPE = "OLLAMA_KV_CACHE_TYPE"
FLASH = "OLLAMA_FLASH_ATTENTION"
HARM = {
    "q8_0": (
        "KV q8_0 halves the cache and hardly changes answers: mean KL divergence 0.001, "
        "perplexity +0.005 (Llama-3-8B, llama.cpp#7412)"
    ),
    "q4_0": (
        "KV q4_0 changes answers clearly more than q8_0 (whose mean KL divergence is 0.001, "
        "llama.cpp#7412), and more so with long contexts: a smaller model or context is better"
    ),
}
"""What quantized caches do to answers."""


def type_setting(
    choice: Choice, models: Sequence[ModelFacts], facts: Facts, server: Server, goal: Goal
) -> Setting:
    """Return the setting of the type of the KV cache."""
    now = (facts.ollama.environment or {}).get(KV_TYPE)
    value: str | None = choice.kv_type
    if choice.kv_type != "f16":
        why = "f16 does not fit with these slots"
        if server.room.kind == "unknown":
            why = "How much memory there is is not known, and it takes half of f16"
        if goal == "memory" and choice.kv_type == "q8_0":
            why = "It takes half of f16, and the goal is memory"
        elif choice.holds and choice.loaded < len(models):
            why = "The models take turns in memory, and it takes half of f16"
        reason = f"{why}. {HARM[choice.kv_type]}."
    elif all(is_cacheless(one) for one in models):
        reason, value = "These models have no KV cache.", None
    else:
        reason = "f16, the default, fits."
        if facts.ollama.installed == "homebrew" or now not in (None, "", "f16"):
            reason += " It is written because another one is set, by Homebrew or by you."
        else:
            value = None
    return Setting(name=KV_TYPE, value=value, reason=reason, default="f16")


def flash_setting(
    choice: Choice, models: Sequence[ModelFacts], facts: Facts, server: Server
) -> Setting:
    """Return the setting of flash attention."""
    release = server.release
    writing = [one for one in models if not one.embeds]
    value, default = None, "automatic"
    if not server.flash:
        default = "off"
        reason = "Ollama leaves it off on a GPU of this kind, so the KV cache stays f16."
    elif release.new_engine:
        reason = "llama.cpp turns it on where it works, and for a quantized KV cache."
        if grok := [one.name for one in writing if one.architecture == "grok"]:
            reason += f" It is off for {listed(grok)} always, so the KV cache stays f16."
        now = bare((facts.ollama.environment or {}).get(FLASH, ""))
        if choice.kv_type != "f16" and go_bool(now) is False:
            value, reason = (
                "1",
                f"It is {now} now: no quantized KV cache would load.",
            )
    else:
        able = [one for one in writing if can_flash(release, one)]
        off = [one.name for one in able if not flash_by_itself(release, one)]
        default = "off" if off else "on for these models"
        if choice.kv_type != "f16":
            value = "1"
            reason = f"Before 0.30 a KV cache of {choice.kv_type} needs it, else f16 is taken."
        elif off:
            value = "1"
            reason = (
                f"Ollama {release.text} leaves it off for {listed(off)}; it saves memory and is "
                "passed over where it does not work."
            )
        else:
            reason = f"Ollama {release.text} turns it on for these models where it works."
    return Setting(
        name=FLASH,
        value=value,
        reason=reason,
        default=default,
        study=STUDY[FLASH],
        study_differs=no_flash(release),
    )
