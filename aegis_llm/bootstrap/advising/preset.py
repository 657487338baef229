"""The study's own block as advice, with what each of its values does. Pure."""

from __future__ import annotations

from aegis_llm.bootstrap.advice import Advice, Setting, Workload
from aegis_llm.bootstrap.advising.budget import budget_of
from aegis_llm.bootstrap.advising.checking import check
from aegis_llm.bootstrap.advising.fitting import Choice
from aegis_llm.bootstrap.advising.memory import Room
from aegis_llm.bootstrap.advising.plans import kept, marked, plan, server_of
from aegis_llm.bootstrap.advising.prompts import PromptCache
from aegis_llm.bootstrap.advising.settings import cache_arithmetic, default_loaded
from aegis_llm.bootstrap.advising.shapes import wanted
from aegis_llm.bootstrap.advising.study import NO_THREADS, STUDY, no_flash
from aegis_llm.bootstrap.advising.versions import (
    Release,
    default_slots,
)
from aegis_llm.bootstrap.advising.words import gib
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.variables import TIERS, default_context

_SLOTS = 4


def study_2025(facts: Facts, workload: Workload) -> Advice:
    """Return the study's settings, with a warning on each that does nothing or harms.

    The memory is counted as the server would take it: the study sets no context length, so each
    slot has the server's default.

    Raises:
        ConfigError: The workload is not usable, or names no model and there is none.
    """
    check(workload)
    found = wanted(facts, workload)
    server = server_of(facts)
    room, release = server.room, server.release
    context = default_context(release.numbers, room.vram)
    plans = tuple(plan(model, server, _SLOTS, context, "f16") for model in found.models)
    loaded = min(int(STUDY["OLLAMA_MAX_LOADED_MODELS"]), len(plans))
    used = kept(plans, loaded)
    choice = Choice(
        slots=_SLOTS, context=context, kv_type="f16", plans=plans, loaded=loaded, used=used,
        limit=room.usable, holds=used <= room.usable, could=_SLOTS,
    )  # fmt: skip
    first = next((one for one in plans if one.kv), plans[0])
    model = next(one for one in found.models if one.name == first.name)
    arithmetic = cache_arithmetic(model, first.slots, first.context, "f16", first.kv)
    needed = workload.prompt_tokens + workload.output_tokens
    default = default_loaded(server)
    flash = "automatic" if release.new_engine else "off, but for some families"
    reasons = {
        "OLLAMA_NUM_PARALLEL": (
            f"Without a context length each slot reserves {first.context:,} tokens: "
            f"{gib(first.kv)} of KV cache, not the 32 MB a request of the study"
            + (f"; and {needed:,} tokens are asked." if first.context < needed else "."),
            default_slots(release),
        ),
        "OLLAMA_NUM_THREADS": (f"Does nothing. {NO_THREADS}", "not a setting"),
        "OLLAMA_MAX_LOADED_MODELS": (
            "Changes nothing: it is the default here."
            if default == int(STUDY["OLLAMA_MAX_LOADED_MODELS"])
            else f"Less than the default of {default} (three for each GPU).",
            str(default),
        ),
        "OLLAMA_KEEP_ALIVE": (
            "Works. A request that carries a keep_alive of its own beats it for that model.",
            "5m",
        ),
        "OLLAMA_FLASH_ATTENTION": (
            no_flash(release),
            flash,
        ),
    }
    fine = {"OLLAMA_KEEP_ALIVE"}
    over = f": {gib(used - room.usable)} too much for this machine" if used > room.usable else ""
    return Advice(
        workload=workload,
        version=release.text,
        settings=tuple(
            Setting(
                name=name,
                value=value,
                reason=reasons[name][0],
                arithmetic=arithmetic if name == "OLLAMA_NUM_PARALLEL" and first.kv else "",
                default=reasons[name][1],
                study=value,
            )
            for name, value in STUDY.items()
        ),
        models=marked(plans, choice.holds),
        budget=budget_of(choice, found.models, room, PromptCache(None, 0, "")),
        fits=choice.holds,
        warnings=tuple(
            f"{name}={value}: {reasons[name][0]}"
            + (f" It takes {gib(used)} in all{over}." if name == "OLLAMA_NUM_PARALLEL" else "")
            for name, value in STUDY.items()
            if name not in fine
        ),
        assumed=(*found.assumed, *room.assumed, *_default_said(release, context, room)),
        unknown=(*found.unknown, *room.unknown),
    )


def _default_said(release: Release, context: int, room: Room) -> tuple[str, ...]:
    """Return what the default context is known from."""
    if not release.since(*TIERS):
        return ()
    by = "by the GPU memory" if room.vram else "without a GPU"
    return (
        f"without a context length Ollama takes {context:,} tokens {by}, as the "
        "source of 0.33.0-rc2 says; /api/ps tells what yours takes",
    )
