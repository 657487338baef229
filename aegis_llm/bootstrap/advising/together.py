"""Whether Ollama itself keeps several models: it decides by a count of its own. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.advising.plans import Server
from aegis_llm.bootstrap.facts import ModelFacts


def stay_together(
    models: Sequence[ModelFacts], plans: Sequence[ModelPlan], server: Server
) -> bool:
    """Return whether all of them can be loaded one after the other without an unloading.

    From 0.30 on Ollama unloads when its estimate of a model is above 80 % of the GPU memory that
    the others leave. Each order is a chance: they come to stay once they came in one that works.
    """
    if not server.release.new_engine or server.room.place != "gpu":
        return True
    pairs = [(predicted(*both), both[1].total) for both in zip(models, plans, strict=True)]
    # What is overrated most has to come first, when there is nothing to unload.
    pairs.sort(key=lambda pair: 4 * pair[1] - 5 * pair[0])
    taken = 0
    for number, (estimate, real) in enumerate(pairs):
        if number and 5 * estimate > 4 * (server.room.memory - taken):
            return False
        taken += real
    return True


def predicted(model: ModelFacts, plan: ModelPlan) -> int:
    """Return Ollama's estimate (`PredictServerVRAM`): f16 and the whole context in each layer."""
    heads = max(1, min(model.kv_heads or (1,)))
    length = (model.embedding_length or 0) // model.heads if model.heads else 0
    numbers = 2 * (model.layers or 0) * heads * length
    return plan.weights + 2 * numbers * plan.context * plan.slots
