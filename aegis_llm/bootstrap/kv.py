"""How much memory the KV cache of a model takes: llama.cpp's own arithmetic. Pure.

Read in llama.cpp at 0c1e57098 (`src/llama-kv-cache.cpp`, `llama-kv-cache-iswa.cpp`,
`llama-memory-recurrent.cpp`) and equal to what its server prints: tests/bootstrap/test_kv.py has
the measured figures. Which layer keeps what is in the facts; here is only what that takes.
"""

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
_CACHELESS = frozenset({
    "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert", "eurobert",
    "modern-bert", "gemma-embedding", "dream", "llada", "llada-moe", "rnd1", "wavtokenizer-dec",
})  # fmt: skip
"""They read a text as a whole and keep nothing (`llama_model::create_memory`)."""
_CACHELESS_EMBEDDERS = _CACHELESS | {None, "gemma3"}
"""Ollama's embeddinggemma says that it is a gemma3 and is loaded as a gemma-embedding."""
_OTHERWISE = frozenset(
    {"deepseek32", "deepseek4", "glm-dsa", "glm5-next", "dots3note", "minimax-m3", "qwen4exp"}
)
"""They keep a second cache, of an index, which is not computed here."""


def padded(tokens: int) -> int:
    """Return a number of tokens as llama.cpp rounds it up."""
    return -(-tokens // _PAD) * _PAD


def automatic_batch(tokens: int) -> int:
    """Return Ollama's `num_batch` for so many tokens in all slots together.

    It is also the `-ub` of the runner. Ollama halves it where memory is short; a window takes
    less then, never more.
    """
    if tokens <= 4096:
        return 512
    return 1024 if tokens <= 32_768 else 2048


def is_cacheless(model: ModelFacts) -> bool:
    """Return whether it keeps no cache at all: most embedding models, not those from LLMs."""
    if model.embeds:
        return model.architecture in _CACHELESS_EMBEDDERS
    return model.architecture in _CACHELESS


def is_known(model: ModelFacts) -> bool:
    """Return whether the model's description tells what its cache takes."""
    if is_cacheless(model):
        return True
    if model.layers is None or model.architecture in _OTHERWISE:
        return False
    if model.latent is not None:
        return model.rope_dimensions is not None
    if model.kv_heads is None or len(model.kv_heads) not in (1, model.layers):
        return False
    return not any(model.kv_heads) or _length(model, model.key_length) is not None


def per_token(model: ModelFacts, keys: str = "f16", values: str | None = None) -> Fraction:
    """Return the bytes that one token of one slot takes in all layers, windows left aside."""
    return _bytes(_numbers(model, 1, 1), keys, values)


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

    Each slot has its own: the whole context, used or not, in the layers without a window; the
    window and one batch in the others; the state of the recurrent ones, whatever the context.

    Args:
        model: Its facts; what they do not tell counts as nothing, so ask `is_known` first.
        context: Tokens of one slot.
        slots: `OLLAMA_NUM_PARALLEL`.
        keys: Cache type.
        values: Cache type; None: as the keys.
        batch: `num_batch`; None: Ollama's own choice.
    """
    whole = padded(context)
    batch = automatic_batch(context * slots) if batch is None else batch
    window = whole
    if model.sliding_window is not None:
        window = min(whole, padded(model.sliding_window + batch))
    caches = _bytes(_numbers(model, whole, window), keys, values)
    return slots * (-(-caches.numerator // caches.denominator) + (model.state_bytes or 0))


def _bytes(numbers: tuple[int, int], keys: str, values: str | None) -> Fraction:
    of_keys, of_values = numbers
    return of_keys * BYTES[keys] + of_values * BYTES[values or keys]


def _numbers(model: ModelFacts, whole: int, window: int) -> tuple[int, int]:
    """Return how many numbers keys and values are in one slot, all layers together.

    Args:
        model: Its facts.
        whole: Tokens of the layers without a window.
        window: Tokens of those with one.
    """
    if is_cacheless(model) or model.layers is None:
        return 0, 0
    heads = model.kv_heads if model.kv_heads is not None else (1,) * (model.latent is not None)
    heads = heads * model.layers if len(heads) == 1 else heads
    lengths = _head(model, windowed=False), _head(model, windowed=True)
    of_keys = of_values = 0
    for index, number in enumerate(heads):
        windowed = _is_windowed(model, index)
        cells = window if windowed else whole
        if model.latent is not None:
            # One vector for all heads; the values are read out of the keys.
            of_keys += cells * _latent(model) * (number > 0)
            continue
        key, value = lengths[windowed]
        of_keys += cells * number * key
        of_values += cells * number * value
    return of_keys, of_values


def _latent(model: ModelFacts) -> int:
    return (model.latent or 0) + (model.rope_dimensions or 0)


def _head(model: ModelFacts, *, windowed: bool) -> tuple[int, int]:
    """Return how long keys and values of one head are."""
    key = _length(model, model.key_length) or 0
    value = _length(model, model.value_length) or key
    if windowed:
        return model.window_key_length or key, model.window_value_length or value
    return key, value


def _length(model: ModelFacts, length: int | None) -> int | None:
    if length is None and model.embedding_length and model.heads:
        return model.embedding_length // model.heads
    return length


def _is_windowed(model: ModelFacts, layer: int) -> bool:
    if model.sliding_window is None:
        return False
    if model.windowed is not None:
        return layer < len(model.windowed) and model.windowed[layer]
    every = model.global_every
    return every is None or (layer + 1) % every != 0
