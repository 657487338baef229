"""Which layers of a hybrid are recurrent, and what their state takes. Pure.

Read in llama.cpp at 0c1e57098: `llm_arch_is_hybrid`, `llama_hparams::n_embd_r` and `n_embd_s`.
Both states are kept as f32, once a slot, whatever the context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Number = Callable[[str], int | None]
"""Gives a number of `model_info` by its name behind the architecture."""

BY_HEADS = frozenset({
    "jamba", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe",
    "nemotron_h_omni", "kimi-linear", "kimi-k3", "bailingmoe3", "glm5-next",
})  # fmt: skip
"""Recurrent are the layers without KV heads."""
BY_INTERVAL = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"})
"""Every so many-th layer attends, the others are recurrent."""
EVERY_LAYER = frozenset({"falcon-h1"})
"""Each layer both attends and keeps a state."""
NO_ATTENTION = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
RECURRENT = BY_HEADS | BY_INTERVAL | EVERY_LAYER | NO_ATTENTION
_INTERVAL = 4
_BYTES = 4


def recurrent_layers(
    architecture: str,
    heads: Sequence[int],
    forward: Sequence[int],
    told: Sequence[bool] | None,
    interval: int | None,
) -> tuple[bool, ...]:
    """Return which layers are recurrent.

    Args:
        architecture: `general.architecture`.
        heads: KV heads of each layer.
        forward: `feed_forward_length` of each layer; empty: not told by layer.
        told: `attention.recurrent_layers`.
        interval: `full_attention_interval`.
    """
    count = len(heads)
    if architecture in EVERY_LAYER | NO_ATTENTION:
        return (True,) * count
    if architecture in BY_INTERVAL:
        if told is not None and len(told) == count:
            return tuple(told)
        if 0 in heads:
            return tuple(number == 0 for number in heads)  # Ollama's own files say it so
        every = interval or _INTERVAL
        return tuple((layer + 1) % every != 0 for layer in range(count))
    if architecture in BY_HEADS:
        plain = len(forward) == count and architecture.startswith("nemotron_h")
        wide = forward if plain else (0,) * count  # their layers of only a feed-forward keep none
        return tuple(number == 0 and not w for number, w in zip(heads, wide, strict=True))
    return (False,) * count


def state_of_layer(number: Number, embedding: int | None, heads: int | None) -> int | None:
    """Return the bytes of one recurrent layer for one slot; None: the file does not tell."""
    wkv = number("wkv.head_size")
    if wkv and embedding:
        shifts = number("token_shift_count") or 2
        return _BYTES * (shifts * embedding + embedding * wkv)
    cache = number("shortconv.l_cache")
    if cache and embedding:
        return _BYTES * embedding * (cache - 1)
    kernel = number("ssm.conv_kernel")
    kda = number("kda.head_dim")
    if kda and heads:
        steps = kernel - 1 if kernel else 3
        return _BYTES * (3 * steps * heads * kda + kda * kda * heads)
    inner, state = number("ssm.inner_size"), number("ssm.state_size")
    if inner and state and kernel:
        groups = number("ssm.group_count") or 0
        return _BYTES * ((kernel - 1) * (inner + 2 * groups * state) + state * inner)
    return None
