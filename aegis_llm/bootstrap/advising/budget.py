"""The table of what the memory goes to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.bootstrap.advice import Budget, BudgetLine, ModelPlan
from aegis_llm.bootstrap.advising.fitting import Choice
from aegis_llm.bootstrap.advising.memory import Room
from aegis_llm.bootstrap.advising.prompts import PromptCache
from aegis_llm.bootstrap.advising.settings import cache_arithmetic
from aegis_llm.bootstrap.advising.words import gib
from aegis_llm.bootstrap.facts import ModelFacts


def budget_of(
    choice: Choice, models: Sequence[ModelFacts], room: Room, cache: PromptCache
) -> Budget:
    """Return the table; `used` never exceeds `usable`: what is over goes to main memory."""
    lines: list[BudgetLine] = []
    for model, plan in zip(models, choice.plans, strict=True):
        lines += _lines(model, plan, room)
    caches = cache.total if room.shared else 0
    over = max(0, choice.used - choice.limit)
    if cache.size:
        lines.append(
            BudgetLine(
                what="prompt cache", bytes=cache.total, place="host", arithmetic=cache.arithmetic
            )
        )
    if over:
        lines.append(
            BudgetLine(
                what="does not fit",
                bytes=over,
                place="host",
                arithmetic=f"{gib(choice.used)} - {gib(choice.limit)}; computed on the processor",
            )
        )
    used = choice.used - over
    free = (room.total or 0) - used - caches
    if free > 0:
        lines.append(
            BudgetLine(
                what="left free",
                bytes=free,
                place=room.place,
                arithmetic=f"{gib(room.total or 0)} - {gib(used + caches)}",
            )
        )
    return Budget(
        place=room.place,
        total=room.total,
        usable=choice.limit,
        used=used,
        lines=tuple(lines),
    )


def _lines(model: ModelFacts, plan: ModelPlan, room: Room) -> list[BudgetLine]:
    place, name = room.place, model.name
    lines = [
        BudgetLine(
            what="weights", bytes=plan.weights, place=place, model=name, arithmetic="its file"
        )
    ]
    if plan.kv:
        said = cache_arithmetic(model, plan.slots, plan.context, plan.kv_type, plan.kv)
        lines.append(
            BudgetLine(
                what=f"KV cache {plan.kv_type}",
                bytes=plan.kv,
                place=place,
                model=name,
                arithmetic=said,
            )
        )
    tokens = plan.context * plan.slots
    lines.append(
        BudgetLine(
            what="compute buffers",
            bytes=plan.compute,
            place=place,
            model=name,
            arithmetic=f"an estimate, by the batch for {tokens:,} tokens in all slots",
        )
    )
    return lines
