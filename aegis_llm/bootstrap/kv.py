"""How much memory the KV cache of a model takes: llama.cpp's own arithmetic. Pure."""

from __future__ import annotations

from fractions import Fraction

from aegis_llm.bootstrap.facts import ModelFacts

BYTES = {
    "f32": Fraction(4),
    "f16": Fraction(2),
    "bf16": Fraction(2),
    "q8_0": Fraction(34, 32),
    "q5_1": Fraction(24, 32),
    "q5_0": Fraction(22, 32),
    "q4_1": Fraction(20, 32),
    "q4_0": Fraction(18, 32),
    "iq4_nl": Fraction(18, 32),
}
"""Bytes of one number, by cache type."""
_PAD = 256


def padded(tokens: int) -> int:
    """Return a number of tokens as llama.cpp rounds it up."""
    return -(-tokens // _PAD) * _PAD


def automatic_batch(tokens: int) -> int:
    """Return Ollama's `num_batch` for so many tokens in all slots together."""
    if tokens <= 4096:
        return 512
    return 1024 if tokens <= 32_768 else 2048


def is_known(model: ModelFacts) -> bool:
    """Return whether the model's description tells what its cache takes."""
    if model.layers is None or model.embeds:
        return model.embeds
    if model.latent is not None:
        return model.rope_dimensions is not None
    return model.kv_heads is not None and _length(model, model.key_length) is not None


def per_token(model: ModelFacts, keys: str = "f16", values: str | None = None) -> Fraction:
    """Return the bytes that one token of one slot takes in all layers, windows left aside."""
    return sum(_layers(model, keys, values), Fraction())


def kv_bytes(
    model: ModelFacts,
    context: int,
    slots: int = 1,
    keys: str = "f16",
    values: str | None = None,
    *,
    batch: int | None = None,
) -> int:
    """Return the bytes of the caches of all slots; `context` is that of one slot.

    Layers with a sliding window keep that window and one batch; recurrent layers a state.
    """
    batch = automatic_batch(context * slots) if batch is None else batch
    whole = padded(context)
    window = whole
    if model.sliding_window is not None:
        window = min(whole, padded(model.sliding_window + batch))
    total = Fraction()
    for index, one in enumerate(_layers(model, keys, values)):
        total += one * (window if _has_window(model, index) else whole)
    return slots * (int(total) + (model.state_bytes or 0))


def _layers(model: ModelFacts, keys: str, values: str | None) -> list[Fraction]:
    """Return the bytes of one token in each layer."""
    if model.embeds or model.layers is None:
        return []
    of_key, of_value = BYTES[keys], BYTES[values or keys]
    if model.latent is not None:
        return [of_key * (model.latent + (model.rope_dimensions or 0))] * model.layers
    heads = model.kv_heads or ()
    heads = heads * model.layers if len(heads) == 1 else heads
    key = _length(model, model.key_length) or 0
    value = _length(model, model.value_length) or key
    return [n * (key * of_key + value * of_value) for n in heads]


def _length(model: ModelFacts, length: int | None) -> int | None:
    if length is None and model.embedding_length and model.heads:
        return model.embedding_length // model.heads
    return length


def _has_window(model: ModelFacts, layer: int) -> bool:
    if model.sliding_window is None:
        return False
    every = model.global_every
    return every is None or (layer + 1) % every != 0
