"""Says what quantization a model has, what others would take here, and which to take. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising.checking import check, check_model
from aegis_llm.bootstrap.advising.deciding import context_of
from aegis_llm.bootstrap.advising.plans import (
    Server,
    one_slot_because,
    own_context,
    plan,
    server_of,
)
from aegis_llm.bootstrap.advising.shapes import wanted
from aegis_llm.bootstrap.advising.words import gib
from aegis_llm.bootstrap.facts import Facts, ModelFacts, Unknown
from aegis_llm.bootstrap.kv import is_known
from aegis_llm.bootstrap.quantizing.offering import Wish, offers_of
from aegis_llm.bootstrap.quantizing.otherwise import otherwise_of
from aegis_llm.bootstrap.quantizing.published import KINDS, Kind, Loss, kind_of
from aegis_llm.bootstrap.quantizing.reasons import remarks_on
from aegis_llm.bootstrap.quantizing.recommending import recommended_of
from aegis_llm.bootstrap.quantizing.results import (
    Installed,
    Offer,
    Otherwise,
    Quantizations,
    Recommended,
)
from aegis_llm.bootstrap.quantizing.weighing import active_of, bandwidth_of, installed_of
from aegis_llm.config.checks import require
from aegis_llm.keys import normal_model

__all__ = [
    "KINDS",
    "Installed",
    "Kind",
    "Loss",
    "Offer",
    "Otherwise",
    "Quantizations",
    "Recommended",
    "kind_of",
    "quantizations",
]


def quantizations(
    model: ModelFacts,
    facts: Facts,
    workload: Workload,
    *,
    least_tokens_per_second: float | None = None,
) -> Quantizations:
    """Return what is installed, what each quantization would take here, and which to take.

    Args:
        model: Its facts.
        facts: The machine.
        workload: Slots and context that are wanted; its other models keep their memory.
        least_tokens_per_second: What one answer alone shall have at least; None: by the goal.

    Raises:
        ConfigError: Workload or speed are not usable, or the model cannot be.
    """
    check(workload)
    check_model(model)
    least = least_tokens_per_second
    require(
        least is None or 0 < least < 1e6,
        f"least_tokens_per_second={least!r}", "give tokens a second, above 0",
    )  # fmt: skip
    model, filled = _filled(model, facts)
    server = server_of(facts)
    slots = 1 if one_slot_because(model, server.release) else workload.concurrent
    context = own_context(model, context_of(workload, (model,)))
    others, assumed = _others(model, facts, workload, server, context)
    wish = Wish(
        model=model,
        server=server,
        slots=slots,
        context=context,
        others=others,
        here=any(normal_model(m.name) == normal_model(model.name) for m in facts.models),
        active=active_of(model),
        bandwidth=bandwidth_of(facts, server.room.kind),
    )
    offers = offers_of(wish)
    return Quantizations(
        model=model.name,
        embeds=model.embeds,
        installed=installed_of(model),
        slots=slots,
        context=context,
        usable=wish.alone if slots == 1 else wish.limit,
        room=_room(wish),
        bandwidth=wish.bandwidth.rate,
        active=wish.active.how,
        offers=offers,
        recommended=recommended_of(wish, offers, workload.goal, least),
        otherwise=tuple(otherwise_of(model, facts)),
        notes=(*_notes(wish), *remarks_on(model)),
        assumed=(*filled, *assumed, *server.room.assumed, *_assumed(wish, len(offers))),
        unknown=(*server.room.unknown, *_unknown(wish)),
    )


def _filled(model: ModelFacts, facts: Facts) -> tuple[ModelFacts, tuple[str, ...]]:
    """Return a model with a cache like that of a known one, where its own is not told."""
    if is_known(model) or model.size is None:
        return model, ()
    alone = msgspec.structs.replace(facts, models=(model,))
    found = wanted(alone, Workload(models=(model.name,)))
    return found.models[0], tuple(found.assumed)


def _others(
    model: ModelFacts, facts: Facts, workload: Workload, server: Server, context: int
) -> tuple[int, tuple[str, ...]]:
    """Return what the other models of the workload take, and what that assumes."""
    names = [n for n in workload.models if normal_model(n) != normal_model(model.name)]
    if not names:
        return 0, ()
    found = wanted(facts, msgspec.structs.replace(workload, models=tuple(names)))
    taken = 0
    for one in found.models:
        slots = 1 if one_slot_because(one, server.release) else workload.concurrent
        taken += plan(one, server, slots, context, "f16").total
    return taken, tuple(found.assumed)


def _room(wish: Wish) -> str:
    room = wish.server.room
    if not room.memory:
        return ""
    said = room.arithmetic
    if wish.slots == 1 and not wish.others:
        return f"{said}, without 1 GiB or a fifth, which is less"
    said = f"0.8 x ({said})"
    return f"{said} - {gib(wish.others)} of the other models" if wish.others else said


def _notes(wish: Wish) -> Iterator[str]:
    if reason := one_slot_because(wish.model, wish.server.release):
        yield reason
    yield from wish.server.room.notes


def _assumed(wish: Wish, offers: int) -> Iterator[str]:
    if offers > 1:
        yield (
            "sizes other than the installed one are bits of Llama-3.1-8B x parameters; real files "
            "differ by a few per cent"
        )
    if not is_known(wish.model):
        yield "the KV cache is counted as 0, because the model's description does not tell it"


def _unknown(wish: Wish) -> Iterator[Unknown]:
    model = wish.model
    at = f"models.{model.name}"
    give = f"ollama pull {model.name}, or its figures in --host-facts"
    for name in ("size", "parameters"):
        if not getattr(model, name):
            yield Unknown(what=f"{at}.{name}", why="nothing tells it", give=give)
    if not is_known(model):
        yield Unknown(what=f"{at}.kv_heads", why="nothing tells its KV cache", give=give)
    if wish.bandwidth.rate is None and not model.embeds:
        what = "memory.bandwidth" if wish.server.room.kind == "cpu" else "gpus.0.bandwidth"
        yield Unknown(what=what, why="it is not known for this machine",
                      give='"bandwidth" in bytes a second, in --host-facts')  # fmt: skip
