"""The arithmetic of the KV cache against figures that llama.cpp's own server printed.

MEASURED: `llama-server -c SLOTS*CONTEXT -np SLOTS -b BATCH -ub BATCH --flash-attn auto
[--cache-type-k T --cache-type-v T]` (llama.cpp 0c1e57098, CPU) on models of random weights with
the layers, heads and lengths given here; MiB as its log lines "KV buffer size" and "RS buffer
size" say.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.kv import (
    BYTES,
    automatic_batch,
    is_cacheless,
    is_known,
    kv_bytes,
    padded,
    per_token,
)

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def model(layers, kv_heads, length, **more):
    heads = (kv_heads,) if isinstance(kv_heads, int) else kv_heads
    more = {"key_length": length, "value_length": length, **more}
    return ModelFacts(name="m", layers=layers, kv_heads=heads, **more)


LLAMA_8B = model(32, 8, 128, architecture="llama")
LLAMA_3B = model(28, 8, 128, architecture="llama")
LLAMA_1B = model(16, 8, 64, architecture="llama")
QWEN_7B = model(28, 4, 128, architecture="qwen2")
LLAMA_70B = model(80, 8, 128, architecture="llama")
GEMMA3_4B = model(34, 4, 256, architecture="gemma3", sliding_window=1024, global_every=6)
GEMMA3_BY_LAYER = model(12, 4, 256, sliding_window=1024, windowed=(True, False) * 6)
GEMMA2_9B = model(42, 8, 256, architecture="gemma2", sliding_window=4096, global_every=2)
COHERE2 = model(8, 8, 128, architecture="cohere2", sliding_window=4096, global_every=4)
GPT_OSS_20B = model(24, 8, 64, architecture="gptoss", sliding_window=128, global_every=2)
DEEPSEEK_LITE = model(
    27, 1, 576, value_length=512, architecture="deepseek2", latent=512, rope_dimensions=64
)
DEEPSEEK_OLD = model(27, 8, 192, value_length=128, architecture="deepseek2", rope_dimensions=64)
LFM2 = model(
    16, (0, 0, 8, 0, 0, 8, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0), 64,
    architecture="lfm2", recurrent=True, state_bytes=10 * 1024 * 2 * 4,
)  # fmt: skip
GRANITE = model(
    8, (0, 0, 0, 8, 0, 0, 0, 8), 64, architecture="granitehybrid", recurrent=True,
    state_bytes=6 * 4 * (3 * (256 + 2 * 128) + 128 * 256),
)  # fmt: skip
QWEN35 = model(
    8, (0, 0, 0, 2, 0, 0, 0, 2), 256, architecture="qwen35", recurrent=True,
    state_bytes=6 * 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096),
)  # fmt: skip
GEMMA4 = model(
    12, (4, 4, 4, 4, 4, 1, 0, 0, 0, 0, 0, 0), 512,  # the last six read the caches of others
    architecture="gemma4", sliding_window=512, global_every=6,
    window_key_length=256, window_value_length=256,
)  # fmt: skip
LLAMA4 = model(8, 2, 64, architecture="llama4", sliding_window=8192, global_every=4)
QWEN3_EMBEDDING = model(16, 8, 64, architecture="qwen3", embeds=True)

MEASURED = [
    # model, context of a slot, slots, batch, type, MiB in parts
    (LLAMA_8B, 4096, 4, 1024, "f16", (2048.0,)),
    (LLAMA_8B, 4096, 4, 1024, "q8_0", (1088.0,)),
    (LLAMA_8B, 4096, 4, 1024, "q4_0", (576.0,)),
    (LLAMA_3B, 4096, 4, 1024, "f16", (1792.0,)),
    (LLAMA_3B, 4096, 4, 1024, "q8_0", (952.0,)),
    (LLAMA_3B, 4096, 4, 1024, "q4_0", (504.0,)),
    (QWEN_7B, 4096, 4, 1024, "f16", (896.0,)),
    (QWEN_7B, 4096, 4, 1024, "q8_0", (476.0,)),
    (QWEN_7B, 4096, 4, 1024, "q4_0", (252.0,)),
    (LLAMA_8B, 4000, 4, 1024, "f16", (2048.0,)),  # 4000 tokens are 4096 cells
    (LLAMA_8B, 4096, 1, 512, "q8_0", (272.0,)),
    (LLAMA_1B, 8192, 1, 1024, "q4_0", (72.0,)),
    (LLAMA_1B, 256, 2, 512, "f16", (16.0,)),
    (GEMMA3_4B, 4096, 4, 1024, "f16", (320.0, 928.0)),  # 5 layers of 4096, 29 of 2048 cells
    (GEMMA3_4B, 8192, 4, 1024, "q8_0", (340.0, 493.0)),
    (GEMMA3_4B, 1024, 4, 512, "f16", (80.0, 464.0)),  # the window holds the whole context
    (GEMMA3_4B, 512, 1, 512, "f16", (10.0, 58.0)),
    (GEMMA3_BY_LAYER, 4096, 4, 1024, "f16", (192.0, 384.0)),
    (GEMMA2_9B, 8192, 4, 1024, "f16", (3360.0, 5376.0)),
    (COHERE2, 8192, 4, 1024, "f16", (256.0, 480.0)),
    (GPT_OSS_20B, 8192, 4, 1024, "f16", (120.0, 768.0)),  # 128 + 1024 are 1280 cells
    (GPT_OSS_20B, 4096, 1, 512, "f16", (18.0, 96.0)),
    (GEMMA4, 8192, 4, 1024, "f16", (64.0, 120.0)),
    (LLAMA4, 16_384, 4, 2048, "f16", (64.0, 120.0)),
    (LLAMA4, 32_768, 1, 1024, "f16", (27.0, 32.0)),
    (DEEPSEEK_LITE, 4096, 4, 1024, "f16", (486.0,)),  # keys only
    (DEEPSEEK_OLD, 2048, 2, 512, "f16", (540.0,)),  # a file without the lengths of MLA
    (QWEN3_EMBEDDING, 8192, 1, 8192, "f16", (256.0,)),  # --embedding
]


@pytest.mark.parametrize("case", MEASURED, ids=lambda case: f"{case[0].architecture}-{case[1:5]}")
def test_it_is_what_the_server_prints(case):
    facts, context, slots, batch, kind, parts = case
    assert kv_bytes(facts, context, slots, kind, batch=batch) == sum(parts) * MIB


@pytest.mark.parametrize(
    ("facts", "cache", "states"),
    [(GRANITE, 64.0, 3.14), (LFM2, 192.0, 0.31), (QWEN35, 64.0, 50.25)],
    ids=["granitehybrid", "lfm2", "qwen35"],
)
def test_each_slot_keeps_the_state_of_the_recurrent_layers(facts, cache, states):
    bytes_ = kv_bytes(facts, 4096, 4, batch=1024)
    assert round((bytes_ - cache * MIB) / MIB, 2) == states
    assert kv_bytes(facts, 8192, 4) - kv_bytes(facts, 4096, 4) == cache * MIB  # not the states


@pytest.mark.parametrize(
    ("facts", "f16", "q8_0", "q4_0", "at_4096", "at_8192", "at_most", "most"),
    [
        (LLAMA_8B, 128, 68, 36, 512 * MIB, GIB, 16 * GIB, 131_072),
        (LLAMA_3B, 112, 59.5, 31.5, 448 * MIB, 896 * MIB, 14 * GIB, 131_072),
        (LLAMA_1B, 32, 17, 9, 128 * MIB, 256 * MIB, 4 * GIB, 131_072),
        (QWEN_7B, 56, 29.75, 15.75, 224 * MIB, 448 * MIB, 1.75 * GIB, 32_768),
        (LLAMA_70B, 320, 170, 90, 1.25 * GIB, 2.5 * GIB, 40 * GIB, 131_072),
    ],
    ids=["llama3.1:8b", "llama3.2:3b", "llama3.2:1b", "qwen2.5:7b", "llama3.1:70b"],
)
def test_well_known_models_to_the_byte(facts, f16, q8_0, q4_0, at_4096, at_8192, at_most, most):
    assert [per_token(facts, kind) / KIB for kind in ("f16", "q8_0", "q4_0")] == [f16, q8_0, q4_0]
    assert kv_bytes(facts, 4096) == at_4096
    assert kv_bytes(facts, 8192) == at_8192
    assert kv_bytes(facts, most) == at_most


def test_the_study_on_a_dgx_spark_reserves_64_gib():
    assert kv_bytes(LLAMA_8B, 131_072, 4) == 64 * GIB


def test_keys_and_values_may_differ_in_type():
    assert per_token(LLAMA_8B, "q8_0", "q4_0") == (68 + 36) * KIB / 2
    assert per_token(DEEPSEEK_LITE, "q8_0", "q4_0") == per_token(DEEPSEEK_LITE, "q8_0")


def test_layers_without_heads_keep_nothing_with_one_vector_as_well():
    kimi = model(4, (0, 0, 0, 1), 576, latent=512, rope_dimensions=64)
    assert per_token(kimi) == 576 * 2


def test_models_that_read_a_text_as_a_whole_keep_nothing():
    bert = ModelFacts(name="nomic-embed-text", architecture="nomic-bert", embeds=True, layers=12)
    assert (is_known(bert), kv_bytes(bert, 2048, 4)) == (True, 0)
    assert is_cacheless(ModelFacts(name="embeddinggemma", architecture="gemma3", embeds=True))
    assert not is_cacheless(QWEN3_EMBEDDING)


@pytest.mark.parametrize(
    ("facts", "known"),
    [
        (LLAMA_8B, True),
        (ModelFacts(name="m"), False),
        (ModelFacts(name="m", layers=32), False),
        (model(32, (8, 8), 128), False),  # not a number for each layer
        (model(32, 8, None, value_length=None), False),
        (model(32, 8, None, value_length=None, heads=32, embedding_length=4096), True),
        (model(27, 1, None, latent=512), False),
        (model(2, 0, None), True),  # Mamba: no heads, so no keys
        (model(61, 1, 576, architecture="deepseek32", latent=512, rope_dimensions=64), False),
        (model(16, 8, None, architecture="qwen3", embeds=True, value_length=None), False),
    ],
)
def test_it_says_when_a_description_does_not_tell(facts, known):
    assert is_known(facts) is known


def test_a_length_that_is_not_told_is_that_of_the_embedding_by_heads():
    llama = model(32, 8, None, value_length=None, heads=32, embedding_length=4096)
    assert per_token(llama) == 128 * KIB


numbers = st.integers(1, 16)
shapes = st.builds(
    lambda layers, heads, length, window, every, state: model(
        layers, heads, length * 32, sliding_window=window, global_every=every, state_bytes=state
    ),
    st.integers(1, 48), numbers, st.integers(1, 8),
    st.none() | st.integers(1, 8192), st.none() | st.integers(1, 8),
    st.none() | st.integers(0, MIB),
)  # fmt: skip
contexts = st.integers(1, 300_000)
kinds = st.sampled_from(sorted(BYTES))


@given(shapes, contexts, contexts, numbers, kinds)
def test_more_context_never_takes_less(facts, one, other, slots, kind):
    small, large = sorted((one, other))
    assert kv_bytes(facts, small, slots, kind) <= kv_bytes(facts, large, slots, kind)


@given(shapes, contexts, numbers, numbers, kinds)
def test_more_slots_never_take_less(facts, context, one, other, kind):
    few, many = sorted((one, other))
    assert kv_bytes(facts, context, few, kind) <= kv_bytes(facts, context, many, kind)


@given(shapes, contexts, numbers, kinds, kinds)
def test_a_smaller_type_never_takes_more(facts, context, slots, one, other):
    small, large = sorted((one, other), key=lambda kind: BYTES[kind])
    assert kv_bytes(facts, context, slots, small) <= kv_bytes(facts, context, slots, large)


@given(shapes, contexts, numbers)
def test_a_window_never_takes_more_than_the_whole_context(facts, context, slots):
    assert kv_bytes(facts, context, slots) <= slots * (
        per_token(facts) * padded(context) + (facts.state_bytes or 0)
    )


@given(st.integers(1, 1 << 40))
def test_padding_is_the_next_multiple_of_256(tokens):
    assert padded(tokens) % 256 == 0
    assert 0 <= padded(tokens) - tokens < 256


def test_the_batch_that_ollama_chooses():
    assert [automatic_batch(n) for n in (4096, 4097, 32_768, 32_769)] == [512, 1024, 1024, 2048]
