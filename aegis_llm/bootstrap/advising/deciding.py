"""From facts and a workload to advice. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aegis_llm.bootstrap.advice import Advice, ModelPlan, Workload
from aegis_llm.bootstrap.advising.budget import budget_of
from aegis_llm.bootstrap.advising.checking import check
from aegis_llm.bootstrap.advising.fitting import Choice, choose, roomier
from aegis_llm.bootstrap.advising.knee import Knee, knee
from aegis_llm.bootstrap.advising.memory import Room
from aegis_llm.bootstrap.advising.plans import (
    LEAST_CONTEXT,
    Server,
    marked,
    one_slot_because,
    server_of,
)
from aegis_llm.bootstrap.advising.prompts import prompt_cache, threads
from aegis_llm.bootstrap.advising.settings import Decided, present, settings
from aegis_llm.bootstrap.advising.shapes import Wanted, wanted
from aegis_llm.bootstrap.advising.warnings import warnings_of
from aegis_llm.bootstrap.advising.words import counted
from aegis_llm.bootstrap.facts import Facts, ModelFacts, Unknown
from aegis_llm.bootstrap.kv import padded


def advise(facts: Facts, workload: Workload) -> Advice:
    """Return the settings for a workload on a machine, each with its reason.

    What is not known is in `unknown`, and what was taken in its place in `assumed`.

    Raises:
        ConfigError: The workload is not usable, or names no model and there is none.
    """
    check(workload)
    found = wanted(facts, workload)
    server = server_of(facts)
    main = _main(found.models)
    context = context_of(workload, found.models)
    most, why, assumed = _most(facts, server, found, workload, context)
    small = workload.goal == "memory"
    choice = choose(found.models, server, context, most, small=small)
    if not small:
        choice = roomier(choice, found.models, server, most, _trained(found.models))
    decided = Decided(
        facts=facts,
        workload=workload,
        models=found.models,
        server=server,
        choice=choice,
        cache=prompt_cache(workload, found.models, choice, server),
        main=main,
        why=_limited(choice, server.room, most, why),
    )
    made = settings(decided)
    holds_all = choice.holds and choice.loaded == len(found.models)
    return Advice(
        workload=msgspec.structs.replace(workload, models=tuple(m.name for m in found.models)),
        version=server.release.text,
        settings=made,
        models=_plans(decided),
        budget=budget_of(choice, found.models, server.room, decided.cache),
        fits=holds_all and server.room.kind != "unknown",
        warnings=(*warnings_of(decided), *present(made, facts)),
        assumed=(*_assumed(found, server), *assumed),
        unknown=(*found.unknown, *server.room.unknown, *_without_version(facts, server)),
        options=_options(decided),
    )


def context_of(workload: Workload, models: Sequence[ModelFacts]) -> int:
    """Return the tokens of a slot: prompt and answer, as llama.cpp rounds, and as trained."""
    needed = padded(workload.prompt_tokens + workload.output_tokens)
    trained = _trained(models)
    return needed if trained is None else max(LEAST_CONTEXT, min(needed, trained))


def _trained(models: Sequence[ModelFacts]) -> int | None:
    """Return the longest context that one of the models was trained with; None: not known."""
    writing = [model for model in models if not model.embeds] or models
    trained = [model.trained_context for model in writing]
    known = [tokens for tokens in trained if tokens is not None]
    return max(known) if len(known) == len(trained) else None


def _main(models: Sequence[ModelFacts]) -> ModelFacts:
    """Return the model that the slots are for: the first that writes."""
    return next((model for model in models if not model.embeds), models[0])


def _most(
    facts: Facts, server: Server, found: Wanted, workload: Workload, context: int
) -> tuple[int, str, tuple[str, ...]]:
    """Return the most slots to try, why, and what that assumes."""
    several = [m for m in found.models if not one_slot_because(m, server.release)]
    if not several:
        main = _main(found.models)
        why = one_slot_because(main, server.release)
        return 1, why if main.embeds else why + _waiting(workload, 1), ()
    helped: Knee = knee(facts, server.room, several[0], context, workload.goal)
    assumed = (helped.assumed,) if helped.assumed else ()
    if workload.concurrent <= helped.slots:
        why = f"{counted(workload.concurrent, 'request')} at the same time, and nobody waits"
        if workload.goal == "latency" and helped.speed is not None:
            each, alone = (helped.speed.per_slot(n) for n in (workload.concurrent, 1))
            why += f"; each is written at {each:,.0f} tokens/s, one alone at {alone:,.0f}"
        return workload.concurrent, why, assumed
    return helped.slots, helped.why + _waiting(workload, helped.slots), assumed


def _waiting(workload: Workload, slots: int) -> str:
    """Return how many requests wait, as the end of a sentence."""
    waiting = workload.concurrent - slots
    if waiting <= 0:
        return ""
    verb = "waits" if waiting == 1 else "wait"
    return f"; of {workload.concurrent:,} requests at the same time {waiting:,} {verb}"


def _limited(choice: Choice, room: Room, most: int, why: str) -> str:
    if room.kind == "unknown":
        return "how much memory there is is not known, and one slot takes the least"
    if not choice.holds:
        return "it does not fit, and more slots would take more"
    if choice.loaded < len(choice.plans):
        return "the models take turns in memory, and more slots would take more"
    if choice.slots < most and choice.used > room.usable:
        return (
            f"it takes more than 80 % of the memory, and no second slot is planned there ({most} "
            "would help)"
        )
    if choice.slots < most:
        return f"memory holds no more ({most} would help)"
    return why


def _plans(one: Decided) -> tuple[ModelPlan, ...]:
    """Return what each model gets, with its reasons."""
    plans = []
    for model, plan in zip(one.models, marked(one.choice.plans, one.choice.holds), strict=True):
        cache = 0 if model.embeds else one.cache.size or 0
        why = plan.why_slots or one.why
        plans.append(msgspec.structs.replace(plan, prompt_cache=cache, why_slots=why))
    return tuple(plans)


def _assumed(found: Wanted, server: Server) -> tuple[str, ...]:
    said = [*found.assumed, *server.room.assumed]
    if not server.release.known:
        said.append(f"Ollama is the current one ({server.release.text}): its version is not known")
    return tuple(said)


def _without_version(facts: Facts, server: Server) -> tuple[Unknown, ...]:
    if server.release.known:
        return ()
    return (
        Unknown(
            what="ollama.version",
            why=(
                f"{told!r} is no release: a build of one's own"
                if (told := facts.ollama.version)
                else "neither a server nor `ollama --version` told it"
            ),
            give='"ollama": {"version": "0.30.0"} in --host-facts',
        ),
    )


def _options(one: Decided) -> dict[str, dict[str, int]]:
    """Return options for the Modelfile where this version reads no variable for them."""
    release, found = one.server.release, {}
    count, _ = threads(one.facts, one.server.room)
    for model, plan in zip(one.models, one.choice.plans, strict=True):
        options = {}
        if count is not None and not release.new_engine:
            options["num_thread"] = count
        if not release.since(0, 5, 13) and not model.embeds:
            options["num_ctx"] = plan.context
        if options:
            found[model.name] = options
    return found
