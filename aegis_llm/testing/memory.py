"""What a simulated model takes in memory, by the arithmetic of llama.cpp's caches. Pure.

`aegis_llm.bootstrap.kv` computes the same from a model's description; a test holds the two
together.
"""

from __future__ import annotations

from aegis_llm.testing.models import SimulatedModel

LAYERS, HEADS, KV_HEADS = 32, 32, 8
"""The shape that every simulated model has."""
CACHE_BYTES = {
    "f32": 4.0,
    "f16": 2.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
_GIB = 1 << 30
_COMPUTE = {512: 0.3, 1024: 0.75}
_LARGEST_COMPUTE = 2.0
_PAD = 256


def cache_bytes(model: SimulatedModel, context: int, slots: int, kind: str = "f16") -> int:
    """Return the bytes of the KV caches of all slots; `context` is that of one slot."""
    if model.can("embedding"):
        return 0
    length = model.embedding_length // HEADS
    per_token = LAYERS * KV_HEADS * 2 * length * CACHE_BYTES[kind]
    return round(slots * -(-context // _PAD) * _PAD * per_token)


def loaded_bytes(
    model: SimulatedModel, context: int, slots: int, batch: int, kind: str = "f16"
) -> int:
    """Return what `/api/ps` tells as the size: weights, caches, and buffers to compute in."""
    compute = 0.0 if model.can("embedding") else _COMPUTE.get(batch, _LARGEST_COMPUTE)
    return model.size + cache_bytes(model, context, slots, kind) + int(compute * _GIB)
