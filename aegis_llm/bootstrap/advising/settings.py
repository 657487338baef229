"""Puts what was chosen into settings, each with its reason and arithmetic. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from aegis_llm.bootstrap.advice import Setting, Workload
from aegis_llm.bootstrap.advising.fitting import Choice
from aegis_llm.bootstrap.advising.flash import FLASH, flash_setting, type_setting
from aegis_llm.bootstrap.advising.plans import Server
from aegis_llm.bootstrap.advising.prompts import (
    PromptCache,
    cache_setting,
    threads,
    threads_setting,
)
from aegis_llm.bootstrap.advising.study import (
    NO_THREADS,
    STUDY,
    kept_differ,
    loaded_differ,
    slots_differ,
)
from aegis_llm.bootstrap.advising.versions import default_slots
from aegis_llm.bootstrap.advising.words import counted, gib, kib
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.kv import is_cacheless, padded, per_token
from aegis_llm.bootstrap.variables import TIERS, default_context
from aegis_llm.config.go_values import bare, go_bool

_QUEUE = 512
_BEATEN = "A request that carries a keep_alive of its own beats it for that model."


@dataclass(frozen=True, kw_only=True)
class Decided:
    """Everything that the settings say.

    Attributes:
        main: The model that most requests ask.
        why: What limited the slots.
    """

    facts: Facts
    workload: Workload
    models: tuple[ModelFacts, ...]
    server: Server
    choice: Choice
    cache: PromptCache
    main: ModelFacts
    why: str


def settings(one: Decided) -> tuple[Setting, ...]:
    """Return the settings, those to leave unset too."""
    release = one.server.release
    found = (
        _slots(one),
        _context(one),
        type_setting(one.choice, one.models, one.facts, one.server, one.workload.goal),
        flash_setting(one.choice, one.models, one.facts, one.server),
        _loaded(one),
        _kept(one),
        _queue(one.workload),
        cache_setting(one.cache, release),
        threads_setting(threads(one.facts, one.server.room), release),
        Setting(
            name="OLLAMA_NUM_THREADS",
            value=None,
            reason="It does nothing.",
            default="not a setting",
            study=STUDY["OLLAMA_NUM_THREADS"],
            study_differs=NO_THREADS,
        ),
    )
    return tuple(_cleared(setting, one.facts) for setting in found)


def cache_arithmetic(model: ModelFacts, slots: int, context: int, kv_type: str, size: int) -> str:
    """Return how the size of a KV cache came about."""
    each = per_token(model, kv_type)
    said = f"{counted(slots, 'slot')} x {padded(context):,} tokens x {kib(each)}"
    whole = int(slots * padded(context) * each)
    if whole == size:
        return f"{said} = {gib(size)}"
    parts = []
    if size < whole and model.sliding_window:
        parts.append(f"layers with a window keep {model.sliding_window:,} tokens and a batch")
    if model.state_bytes:
        parts.append(f"{kib(model.state_bytes)} of state for each slot")
    return f"{said} = {gib(whole)}; {' and '.join(parts) or 'by its layers'}: {gib(size)}"


def default_loaded(one: Server) -> int:
    """Return how many models stay where nothing is set: three for each GPU, or for none."""
    return 3 * max(1, len(one.room.parts))


def _slots(one: Decided) -> Setting:
    choice = one.choice
    plan = next(plan for plan in choice.plans if plan.name == one.main.name)
    arithmetic = ""
    if plan.kv:
        arithmetic = cache_arithmetic(
            one.main, plan.slots, plan.context, plan.kv_type, plan.kv
        )  # fmt: skip
        if choice.could > plan.slots and not plan.why_slots and choice.holds:
            arithmetic += f"; the memory would hold {choice.could:,} slots"
    return Setting(
        name="OLLAMA_NUM_PARALLEL",
        value=str(choice.slots),
        reason=f"{one.why[:1].upper()}{one.why[1:]}.",
        arithmetic=arithmetic,
        default=default_slots(one.server.release),
        study=STUDY["OLLAMA_NUM_PARALLEL"],
        study_differs=slots_differ(choice.slots, one.why),
    )


def _context(one: Decided) -> Setting:
    w, choice, release = one.workload, one.choice, one.server.release
    needed = w.prompt_tokens + w.output_tokens
    default = default_context(release.numbers, one.server.room.vram)
    said = f"{w.prompt_tokens:,} + {w.output_tokens:,} = {needed:,} tokens"
    if choice.context < padded(needed):
        said += f", but {one.main.name} was trained with {choice.context:,}"
    else:
        said += f", in steps of 256: {padded(needed):,}"
    if choice.roomier > 1 and all(is_cacheless(model) for model in one.models):
        said += f"; as trained, as more takes nothing: {choice.context:,}"
    elif choice.roomier > 1:
        said += f"; {float(choice.roomier):.3g} times that, as memory has room: {choice.context:,}"
    reason = (
        "Each slot reserves it whole when the model is loaded, so it is always set together "
        "with the slots. A longer prompt is cut without an error."
    )
    shown = f"{default:,}"
    if release.since(*TIERS):
        by = "by the GPU memory" if one.server.room.vram else "without a GPU"
        shown += f" {by}, whatever the slots"
    if not release.since(0, 5, 13):
        reason += " This version does not read it: give the option num_ctx in the Modelfile."
    return Setting(
        name="OLLAMA_CONTEXT_LENGTH",
        value=str(choice.context),
        reason=reason,
        arithmetic=said,
        default=shown,
    )


def _loaded(one: Decided) -> Setting:
    count, loaded = len(one.models), one.choice.loaded
    default = default_loaded(one.server)
    value = None if loaded == default else str(loaded)
    if loaded < count:
        reason = (
            f"Of the {count} models only {loaded} fit into memory together; the others wait until "
            "one is unloaded, for seconds each time."
        )
    elif value is None:
        reason = f"The {counted(count, 'model')} fit, and {default} is the default."
    else:
        named = "One model is" if count == 1 else f"{count} models are"
        reason = (
            f"{named} wanted. Another would have a KV cache of its own, and from 0.30 a prompt "
            "cache in main memory; if you use more models, name them, or this unloads one for it."
        )
    return Setting(
        name="OLLAMA_MAX_LOADED_MODELS",
        value=value,
        reason=reason,
        arithmetic=" + ".join(f"{gib(plan.total)} {plan.name}" for plan in one.choice.plans),
        default=f"{default} (three for each GPU)",
        study=STUDY["OLLAMA_MAX_LOADED_MODELS"],
        study_differs=loaded_differ(value, default),
    )


def _kept(one: Decided) -> Setting:
    given = one.workload.keep_alive
    together = one.choice.holds and one.choice.loaded == len(one.models)
    value: str | None
    if given is not None:
        value, reason = given.strip(), "It was given."
    elif one.workload.goal == "memory":
        value, reason = None, "An idle model gives its memory back after the default."
    elif one.server.room.kind == "unknown":
        value, reason = "30m", "Whether everything fits together is not known."
    elif not together:
        value, reason = "30m", "Not everything fits together; what is idle may go after a while."
    elif one.facts.os in ("macos", "windows"):
        value, reason = "30m", "The machine may be somebody's desk; half an hour outlasts a pause."
    else:
        value, reason = "-1", "Everything fits together, so nothing is gained by unloading."
    return Setting(
        name="OLLAMA_KEEP_ALIVE",
        value=value,
        reason=f"{reason} {_BEATEN}",
        default="5m",
        study=STUDY["OLLAMA_KEEP_ALIVE"],
        study_differs="" if given == "30m" else kept_differ(value) if given is None else reason,
    )


def _queue(workload: Workload) -> Setting:
    reason = (
        "It bounds only requests that wait for a model to be loaded; those for a loaded model "
        "wait without bound, so who asks must hold back."
    )
    value = None
    if workload.concurrent > _QUEUE:
        value = str(2 * workload.concurrent)
        reason += " While a model loads, all of them wait there: twice as many."
    return Setting(
        name="OLLAMA_MAX_QUEUE", value=value, reason=reason, default=f"{_QUEUE}",
        arithmetic=f"2 x {workload.concurrent:,} = {value}" if value else "",
    )  # fmt: skip


def _cleared(setting: Setting, facts: Facts) -> Setting:
    """Return the setting with word of a present value that must go."""
    now = _to_remove(setting, facts)
    if not now:
        return setting
    said = f"{setting.reason} It is set to {now} now: remove it."
    return msgspec.structs.replace(setting, reason=said)


def present(settings: Sequence[Setting], facts: Facts) -> list[str]:
    """Return warnings about values that are set now and should not be."""
    found = []
    for one in settings:
        if now := _to_remove(one, facts):
            then = "and should not be: remove it"
            if one.name not in (FLASH, "OLLAMA_NUM_THREADS"):
                then = "and this advice leaves it unset: remove it, unless you have a reason"
            found.append(f"{one.name} is set to {now} now {then}")
    return found


def _to_remove(setting: Setting, facts: Facts) -> str:
    """Return the present value of a variable that is to be unset; empty: there is none."""
    now = (facts.ollama.environment or {}).get(setting.name, "")
    if setting.value is not None or not bare(now):
        return ""
    harmless = setting.name == FLASH and go_bool(bare(now)) is not False
    return "" if harmless else now
