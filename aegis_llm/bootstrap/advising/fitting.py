"""Chooses slots, cache type and how many models stay: the best that fits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.advising.plans import Server, kept, one_slot_because, plan
from aegis_llm.bootstrap.advising.together import stay_together
from aegis_llm.bootstrap.advising.versions import cache_types
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.kv import is_cacheless, padded

_MANY = 4096
_DEFAULT = 4096
_ROOMIER = (Fraction(2), Fraction(3, 2), Fraction(5, 4))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen.

    Attributes:
        slots: For models that may have several.
        loaded: Models that are in memory together.
        used: The most that these take.
        limit: What they may take.
        holds: Whether that is enough for each model.
        could: Slots that the memory has room for; at least `slots`.
        roomier: How many times the context that is needed each slot has.
    """

    slots: int
    context: int
    kv_type: str
    plans: tuple[ModelPlan, ...]
    loaded: int
    used: int
    limit: int
    holds: bool
    could: int
    roomier: Fraction = Fraction(1)


@dataclass(frozen=True)
class _Try:
    loaded: int
    slots: int
    kv_type: str
    alone: bool = False


def choose(
    models: Sequence[ModelFacts], server: Server, context: int, most: int, *, small: bool
) -> Choice:
    """Return the first that fits, from the best on.

    Better is: all models together (a swap costs seconds for each request), then more slots, then
    finer cache types. `small`: fewest bytes are best, by q8_0, which hardly changes an answer.
    """
    kinds = _types(models, server)
    fine = kinds[1:2] if small and len(kinds) > 1 else kinds[:2]
    count = len(models)
    slots = _largest(models, server, _Try(count, most, fine[-1]), context)
    for one in _tries(count, slots, fine, kinds[2:]):
        plans = _plans(models, server, one, context)
        limit = server.room.alone if one.alone else server.room.usable
        used = kept(plans, one.loaded)
        if used <= limit and _stay(models, plans, server, one.loaded):
            return Choice(
                slots=one.slots,
                context=context,
                kv_type=one.kv_type,
                plans=plans,
                loaded=one.loaded,
                used=used,
                limit=limit,
                holds=True,
                could=_could(models, server, one, context),
            )
    least = _Try(1, 1, kinds[min(1, len(kinds) - 1)])
    plans = _plans(models, server, least, context)
    return Choice(
        slots=1,
        context=context,
        kv_type=least.kv_type,
        plans=plans,
        loaded=1,
        used=kept(plans, 1),
        limit=server.room.alone,
        holds=False,
        could=0,
    )


def roomier(
    found: Choice, models: Sequence[ModelFacts], server: Server, most: int, longest: int | None
) -> Choice:
    """Return the choice with up to twice the context, where nothing better is left to buy.

    Less than Ollama's own least default would cut prompts that it does not cut untuned.

    Models that keep no cache get all that they were trained with: it takes nothing.

    Args:
        found: What was chosen for the context that is needed.
        models: All of them.
        server: Where they run.
        most: Slots that help.
        longest: Context that the models were trained with; None: not known.
    """
    best = found.slots == most and found.kv_type == _types(models, server)[0]
    if not (best and found.holds and found.loaded == len(models)):
        return found
    contexts = [padded(int(found.context * times)) for times in _ROOMIER]
    contexts = [max(contexts[0], min(_DEFAULT, longest or _DEFAULT)), *contexts]
    if longest is not None and all(is_cacheless(model) for model in models):
        contexts = [longest]
    one = _Try(found.loaded, found.slots, found.kv_type)
    for context in contexts:
        if context <= found.context or (longest is not None and context > longest):
            continue
        plans = _plans(models, server, one, context)
        used = kept(plans, found.loaded)
        if used <= server.room.usable and _stay(models, plans, server, found.loaded):
            return replace(
                found, context=context, plans=plans, used=used, limit=server.room.usable,
                could=_could(models, server, one, context),
                roomier=Fraction(context, found.context),
            )  # fmt: skip
    return found


def _tries(count: int, slots: int, fine: Sequence[str], last: Sequence[str]) -> Iterator[_Try]:
    """Yield what to try: each is worth no more than the one before, and takes no more memory.

    `slots` are the most that fit with the coarsest of the fine types; 0: not even one does.
    """
    if slots:
        yield from (_Try(count, slots, kv_type) for kv_type in fine)
    if count == 1:
        yield from (_Try(1, 1, kv_type, alone=True) for kv_type in fine)
    for loaded in range(count - 1, 0, -1):
        yield _Try(loaded, 1, fine[-1], alone=loaded == 1)
    for kv_type in last:
        yield _Try(1, 1, kv_type, alone=True)


def _largest(models: Sequence[ModelFacts], server: Server, one: _Try, context: int) -> int:
    """Return the most slots that fit, at most those of the try; 0: not even one does."""
    low, high = 0, one.slots
    while low < high:
        middle = (low + high + 1) // 2
        plans = _plans(models, server, replace(one, slots=middle), context)
        fits = kept(plans, one.loaded) <= server.room.usable
        if fits and _stay(models, plans, server, one.loaded):
            low = middle
        else:
            high = middle - 1
    return low


def _stay(
    models: Sequence[ModelFacts], plans: Sequence[ModelPlan], server: Server, loaded: int
) -> bool:
    """Return whether Ollama keeps them, where all are meant to stay."""
    return loaded < len(models) or stay_together(models, plans, server)


def _could(models: Sequence[ModelFacts], server: Server, one: _Try, context: int) -> int:
    """Return the slots that the memory has room for; 1 where no model may have several."""
    if all(one_slot_because(model, server.release) for model in models):
        return 1
    return max(
        one.slots, _largest(models, server, replace(one, slots=_MANY, alone=False), context)
    )


def _types(models: Sequence[ModelFacts], server: Server) -> tuple[str, ...]:
    """Return the cache types that work for all models with a cache: one setting is for all."""
    found: tuple[str, ...] = ("f16", "q8_0", "q4_0")
    for model in models:
        if not is_cacheless(model):
            theirs = cache_types(server.release, model, flash=server.flash)
            found = theirs if len(theirs) < len(found) else found
    return found


def _plans(
    models: Sequence[ModelFacts], server: Server, one: _Try, context: int
) -> tuple[ModelPlan, ...]:
    return tuple(plan(model, server, one.slots, context, one.kv_type) for model in models)
