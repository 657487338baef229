"""What Ollama says about models becomes what llama.cpp would keep for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.kv import kv_bytes, per_token
from aegis_llm.bootstrap.probing.describing import described, left_out, missing, parameters_of

GIB, KIB = 1 << 30, 1 << 10
TAG = {"name": "m:latest", "size": 5_000_000_000, "digest": "abc"}


def model(architecture: str, **info: Any) -> ModelFacts:
    """Return the facts of a model; names of `info` are those behind the architecture."""
    names = {f"{architecture}.{name.replace('__', '.')}": value for name, value in info.items()}
    return described(TAG, {"model_info": {"general.architecture": architecture, **names}})


def plain(architecture: str, layers: int, kv: Any, length: int, **more: Any) -> ModelFacts:
    """Return a model with heads of one length."""
    return model(
        architecture,
        block_count=layers,
        attention__head_count=32,
        attention__head_count_kv=kv,
        attention__key_length=length,
        attention__value_length=length,
        **more,
    )


def test_llama_3_1_8b_takes_the_published_cache() -> None:
    found = model(
        "llama",
        block_count=32,
        attention__head_count=32,
        attention__head_count_kv=8,
        embedding_length=4096,
        context_length=131_072,
    )
    assert found.kv_heads == (8,)
    assert per_token(found) == 128 * KIB
    assert kv_bytes(found, 131_072) == 16 * GIB
    assert list(missing(found)) == []


def test_a_model_without_kv_heads_has_as_many_as_heads() -> None:
    assert model("llama", block_count=2, attention__head_count=12).kv_heads == (12,)


def test_a_list_of_kv_heads_that_is_left_out_all_the_same_is_unknown() -> None:
    """It is not as many as there are heads: that is eight times too much for most models."""
    found = plain("llama", 2, None, 128)
    assert found.kv_heads is None
    assert next(one.what for one in missing(found)) == "models.m:latest.kv_heads"


@pytest.mark.parametrize("architecture", ["llama", "mamba", "gemma3"])
def test_absurdly_many_layers_are_unknown(architecture: str) -> None:
    found = plain(architecture, 2**31 - 1, 8, 128)
    assert found.layers is None
    assert "models.m:latest.layers" in [one.what for one in missing(found)]


@pytest.mark.parametrize(
    ("architecture", "layers", "info", "window", "every", "windowed"),
    [
        ("gemma2", 4, {"attention__sliding_window": 4096}, 4096, 2, None),
        ("gemma2", 4, {}, 4096, 2, None),
        ("gemma3", 6, {"attention__sliding_window": 1024}, 1024, 6, None),
        ("gemma3", 6, {}, None, None, None),
        ("gpt-oss", 4, {"attention__sliding_window": 128}, 128, 2, None),
        ("gptoss", 4, {"attention__sliding_window": 128}, 128, 2, None),
        ("cohere2", 4, {"attention__sliding_window": 4096}, 4096, 4, None),
        ("llama4", 4, {}, 8192, 4, None),
        ("llama4", 4, {"attention__sliding_window": 0}, None, None, None),
        ("exaone4", 64, {"attention__sliding_window": 4096}, 4096, 4, None),
        ("exaone4", 30, {"attention__sliding_window": 4096}, None, None, None),
        ("phi3", 4, {"attention__sliding_window": 2047}, None, None, None),
        ("llama", 4, {"attention__sliding_window": 4096}, None, None, None),
        (
            "cohere2moe",
            4,
            {"attention__sliding_window": 512},
            512,
            None,
            (False, True, True, True),
        ),
        (
            "gemma4",
            4,
            {
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [True, False, False, True],
            },
            512,
            None,
            (True, False, False, True),
        ),
        (
            "gemma4",
            4,
            {
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [True, False, True, False],
            },
            512,
            2,
            None,
        ),
        (
            "gemma3",
            6,
            {"attention__sliding_window": 1024, "attention__sliding_window_pattern": 3},
            1024,
            3,
            None,
        ),
    ],
)
def test_windows_are_those_that_llama_cpp_uses(
    architecture: str,
    layers: int,
    info: dict[str, Any],
    window: int | None,
    every: int | None,
    windowed: tuple[bool, ...] | None,
) -> None:
    found = plain(architecture, layers, 4, 128, **info)
    assert (found.sliding_window, found.global_every, found.windowed) == (window, every, windowed)


def test_mla_keeps_one_vector_only_where_the_file_has_the_lengths_for_it() -> None:
    info: dict[str, Any] = {"attention__kv_lora_rank": 512, "rope__dimension_count": 64}
    new = {"attention__key_length_mla": 192, "attention__value_length_mla": 128}
    found = plain("deepseek2", 27, 1, 576, **info, **new)
    assert per_token(found) == 27 * 576 * 2
    half = plain("deepseek2", 27, 1, 576, **info, attention__key_length_mla=192)
    assert half.latent is None
    old = plain("deepseek2", 27, 16, 192, **info)
    assert old.latent is None
    assert per_token(old) == 27 * 16 * 2 * 192 * 2


def test_layers_of_a_hybrid_without_attention_keep_a_state_and_no_cache() -> None:
    ssm = {
        "ssm__conv_kernel": 4,
        "ssm__inner_size": 4096,
        "ssm__state_size": 128,
        "ssm__group_count": 16,
    }
    found = plain("qwen35", 8, 2, 256, full_attention_interval=4, **ssm)
    assert found.recurrent
    assert found.kv_heads == (0, 0, 0, 2, 0, 0, 0, 2)
    assert found.state_bytes == 6 * 4 * (3 * (4096 + 2 * 16 * 128) + 128 * 4096)
    assert plain("qwen35", 4, 2, 256, **ssm).kv_heads == (0, 0, 0, 2)
    told = plain("qwen3next", 4, [0, 0, 0, 2], 256, **ssm)
    assert told.kv_heads == (0, 0, 0, 2)
    assert told.state_bytes == found.state_bytes // 2


def test_short_convolutions_and_parallel_heads_are_known() -> None:
    lfm = plain("lfm2", 4, [0, 8, 0, 8], 64, embedding_length=2048, shortconv__l_cache=3)
    assert lfm.state_bytes == 2 * 4 * 2048 * 2
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 64, "ssm__state_size": 16}
    both = plain("falcon-h1", 3, 2, 64, **ssm)
    assert both.kv_heads == (2,)
    assert both.state_bytes == 3 * 4 * (3 * 64 + 16 * 64)


def test_layers_of_nemotron_that_are_only_feed_forward_keep_nothing() -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 64, "ssm__state_size": 16}
    found = plain("nemotron_h", 3, [0, 0, 8], 128, feed_forward_length=[0, 99, 0], **ssm)
    assert found.kv_heads == (0, 0, 8)
    assert found.state_bytes == 4 * (3 * 64 + 16 * 64)


def test_a_hybrid_that_does_not_tell_its_state_is_said_to_be_unknown() -> None:
    found = plain("qwen35", 4, 2, 256)
    assert "models.m:latest.state_bytes" in [one.what for one in missing(found)]


def test_layers_that_share_a_cache_or_only_draft_have_none() -> None:
    assert plain("gemma3n", 30, 2, 256, attention__sliding_window=512).kv_heads == (
        *[2] * 20,
        *[0] * 10,
    )
    shared = plain("gemma4", 5, 1, 256, attention__shared_kv_layers=2)
    assert shared.kv_heads == (1, 1, 1, 0, 0)
    assert plain("glm4moe", 3, 8, 128, nextn_predict_layers=1).kv_heads == (8, 8, 0)


def test_lengths_of_windowed_heads_experts_and_projectors_are_taken_over() -> None:
    swa = {"attention__key_length_swa": 256, "attention__value_length_swa": 128}
    found = plain("gemma4", 2, 1, 512, expert_count=128, expert_used_count=8, **swa)
    assert (found.window_key_length, found.window_value_length) == (256, 128)
    assert (found.experts, found.experts_used) == (128, 8)
    seen = described(TAG, {"projector_info": {"general.architecture": "clip"}})
    assert seen.vision


def test_an_embedding_model_is_told_by_its_abilities_or_by_its_pooling() -> None:
    info = {"general.architecture": "bert", "bert.pooling_type": 1, "bert.block_count": 6}
    assert described(TAG, {"model_info": info}).embeds
    assert described(TAG, {"model_info": info, "capabilities": ["embedding"]}).embeds
    both = {"capabilities": ["completion", "embedding"]}
    assert not described(TAG, both).embeds


def test_lists_that_were_left_out_are_noticed() -> None:
    for value in (None, []):
        info = {"general.architecture": "m", "m.attention.head_count_kv": value}
        assert left_out({"model_info": info})
    assert not left_out({"model_info": {"general.architecture": "m", "tokenizer.tokens": None}})


def test_parameters_of_the_modelfile_are_read_as_go_writes_them() -> None:
    text = 'num_ctx                        8192\nstop    "<|a|>"\nstop    "<|b|>"\n'
    text += "temperature    0.7\nuse_mmap    true\nnum_gpu    1e+06\nnum_thread\n"
    assert parameters_of(text) == {
        "num_ctx": 8192,
        "stop": ["<|a|>", "<|b|>"],
        "temperature": 0.7,
        "use_mmap": True,
        "num_gpu": 1_000_000,
    }


def test_a_model_with_the_wrong_number_of_heads_is_unknown() -> None:
    found = plain("llama", 4, [8, 8], 128)
    assert found.kv_heads is None
    assert "models.m:latest.kv_heads" in [one.what for one in missing(found)]


_ONE = st.sampled_from([None, True, -1, 0, 0.5, 1e300, float("nan"), 10**30, "x", {}, {"a": 1}])
_JSON = _ONE | st.integers(0, 40) | st.lists(_ONE | st.integers(0, 9), max_size=3)
_NAMES = st.sampled_from([
    "block_count", "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.sliding_window", "attention.sliding_window_pattern", "attention.kv_lora_rank",
    "full_attention_interval", "feed_forward_length", "ssm.conv_kernel", "ssm.inner_size",
    "ssm.state_size", "nextn_predict_layers", "attention.shared_kv_layers", "context_length",
    "embedding_length", "shortconv.l_cache", "attention.recurrent_layers",
])  # fmt: skip


@given(
    st.sampled_from(["llama", "gemma3", "gemma4", "qwen35", "nemotron_h", "mamba", "gemma3n"]),
    st.dictionaries(_NAMES, _JSON, max_size=8),
    st.dictionaries(st.sampled_from(["details", "capabilities", "parameters"]), _JSON),
)
def test_whatever_a_server_says_is_a_fact_or_unknown_and_never_a_traceback(
    architecture: str, info: dict[str, Any], more: dict[str, Any]
) -> None:
    named = {f"{architecture}.{name}": value for name, value in info.items()}
    shown = {"model_info": {"general.architecture": architecture, **named}, **more}
    found = described(TAG, shown)
    left_out(shown)
    list(missing(found))
    if found.kv_heads and found.layers:
        assert len(found.kv_heads) in (1, found.layers)
