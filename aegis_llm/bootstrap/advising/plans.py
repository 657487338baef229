"""What models take of the memory with given slots, context and cache type. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.advising.memory import Room, room_of
from aegis_llm.bootstrap.advising.versions import (
    Release,
    gpu_can_flash,
    has_one_slot,
    release_of,
)
from aegis_llm.bootstrap.advising.words import GIB, MIB
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.kv import automatic_batch, is_cacheless, kv_bytes, padded, per_token

_SMALL = GIB * 3 // 10
_COMPUTE = ((512, _SMALL), (1024, 768 * MIB))
_EMBEDDED = 2048
"""Ollama's `num_batch` of embedding models, `DefaultEmbeddingNumBatch`."""
_LARGE = 2 * GIB
_VISION = GIB
LEAST_CONTEXT = 256


@dataclass(frozen=True, kw_only=True)
class Server:
    """What a plan depends on beside the settings.

    Attributes:
        flash: Whether its GPUs can have flash attention, which quantized caches need.
    """

    room: Room
    release: Release
    flash: bool = True


def server_of(facts: Facts) -> Server:
    """Return the server that the facts tell."""
    return Server(
        room=room_of(facts),
        release=release_of(facts.ollama.version),
        flash=all(gpu_can_flash(gpu) for gpu in facts.gpus or ()),
    )


def plan(model: ModelFacts, server: Server, slots: int, context: int, kv_type: str) -> ModelPlan:
    """Return what a model gets of a server that is set to so many slots and such a context."""
    reason = one_slot_because(model, server.release)
    slots = 1 if reason else slots
    context = own_context(model, context)
    batch = _batch(model, context * slots)
    compute = _compute(model, batch)
    weights = model.size or 0
    kv = kv_bytes(model, context, slots, kv_type, batch=batch)
    parts = server.room.parts
    if len(parts) > 1 and weights + kv + compute > max(parts) * 4 // 5:
        compute *= len(parts)
    return ModelPlan(
        name=model.name,
        slots=slots,
        context=context,
        kv_type=kv_type,
        per_token=float(per_token(model, kv_type)),
        weights=weights,
        kv=kv,
        compute=compute,
        why_slots=reason,
    )


def one_slot_because(model: ModelFacts, release: Release) -> str:
    """Return why a model has one slot whatever is set; empty where it has what is set."""
    if model.embeds:
        return "an embedding model has one slot" + (
            ", and no KV cache" if is_cacheless(model) else ""
        )
    if model.model_format != "gguf":
        return "the MLX engine answers one request at a time"
    if has_one_slot(release, model.architecture):
        return f"Ollama gives the family {model.architecture} one slot, whatever is set"
    return ""


def own_context(model: ModelFacts, context: int) -> int:
    """Return the tokens of a slot: a `num_ctx` of the Modelfile beats the environment.

    Nothing beats the context that the model was trained with.
    """
    own = whole_option(model, "num_ctx")
    wanted = padded(own) if own is not None else context
    if model.trained_context is not None:
        wanted = min(wanted, model.trained_context)
    return max(1, wanted)


def whole_option(model: ModelFacts, name: str) -> int | None:
    """Return an option of the Modelfile that is a whole number above 0."""
    value = model.options.get(name)
    usable = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31
    return value if usable else None


def kept(plans: Sequence[ModelPlan], count: int) -> int:
    """Return the most that so many of the models take together."""
    return sum(sorted((one.total for one in plans), reverse=True)[:count])


def marked(plans: Sequence[ModelPlan], fits: bool) -> tuple[ModelPlan, ...]:
    """Return the plans with word of whether they fit."""
    return tuple(msgspec.structs.replace(one, fits=fits) for one in plans)


def _batch(model: ModelFacts, tokens: int) -> int:
    own = whole_option(model, "num_batch")
    if own is not None:
        return own
    return min(_EMBEDDED, tokens) if model.embeds else automatic_batch(tokens)


def _compute(model: ModelFacts, batch: int) -> int:
    """Return what the computation takes beside weights and cache.

    Embedding models compute no probabilities of tokens, so theirs stays smaller.
    """
    if is_cacheless(model):
        return _SMALL
    batch = min(batch, 1024) if model.embeds else batch
    needed = next((size for most, size in _COMPUTE if batch <= most), _LARGE)
    return needed + (_VISION if model.vision else 0)
