"""The single rules of the advice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising import advise, study_2025
from aegis_llm.bootstrap.facts import Cpu, Facts, Gpu, Loaded, Memory, Ollama
from tests.bootstrap.advising import (
    GIB,
    advice,
    card,
    machine,
    model,
    processor,
    setting,
    spark,
)

STUDY = {
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_NUM_THREADS": "16",
    "OLLAMA_MAX_LOADED_MODELS": "3",
    "OLLAMA_KEEP_ALIVE": "30m",
    "OLLAMA_FLASH_ATTENTION": "0",
}


def test_the_preset_is_the_study_with_what_each_value_does() -> None:
    found = study_2025(spark(121.7, version="0.33.0"), Workload(models=("llama3.1:8b",)))
    assert found.environment == STUDY
    slots = setting(found, "NUM_PARALLEL")
    assert slots.arithmetic == "4 slots x 131,072 tokens x 128 KiB = 64.00 GiB"
    assert found.models[0].kv == 64 * GIB
    warned = [one.partition("=")[0] for one in found.warnings]
    assert warned == [name for name in STUDY if name != "OLLAMA_KEEP_ALIVE"]
    assert "Does nothing" in setting(found, "NUM_THREADS").reason
    assert "harmful" in setting(found, "FLASH_ATTENTION").reason
    assert found.fits
    assert found.assumed[-1].startswith("without a context length Ollama takes 262,144 tokens")


def test_the_preset_does_not_fit_on_48_gb() -> None:
    found = study_2025(card(48), Workload(models=("llama3.1:8b",)))
    assert not found.fits
    assert "too much for this machine" in found.warnings[0]
    assert found.budget.used <= found.budget.usable


def test_before_0_15_5_the_preset_has_4096_tokens() -> None:
    found = study_2025(card(48, version="0.15.4"), Workload(models=("llama3.1:8b",)))
    assert found.models[0].context == 4096


@pytest.mark.parametrize(
    ("facts", "asked", "value"),
    [
        (card(), {}, "-1"),
        (card(), {"goal": "memory"}, None),
        (card(), {"keep_alive": "2h"}, "2h"),
        (card(4), {}, "30m"),
        (msgspec.structs.replace(spark(), os="macos"), {}, "30m"),
    ],
    ids=["fits", "memory", "given", "too large", "a desk"],
)
def test_models_stay_as_long_as_nothing_else_wants_their_room(
    facts: Facts, asked: Any, value: str | None
) -> None:
    kept = setting(advice(facts, **asked), "KEEP_ALIVE")
    assert kept.value == value
    assert "A request that carries a keep_alive of its own beats it" in kept.reason


def test_the_number_of_loaded_models_is_unset_where_it_is_the_default() -> None:
    three = ("llama3.2:1b", "nomic-embed-text", "all-minilm")
    assert setting(advice(card(), *three), "MAX_LOADED_MODELS").value is None
    assert setting(advice(card(), *three[:2]), "MAX_LOADED_MODELS").value == "2"
    gpu = Gpu(vendor="nvidia", name="NVIDIA Card", memory=24 * GIB, integrated=False)
    assert setting(advice(machine(gpus=(gpu, gpu)), *three), "MAX_LOADED_MODELS").value == "3"


def test_the_queue_grows_with_the_callers() -> None:
    assert setting(advice(card()), "MAX_QUEUE").value is None
    assert setting(advice(card(), concurrent=600), "MAX_QUEUE").value == "1200"


@pytest.mark.parametrize(
    ("asked", "mib"),
    [
        ({}, None),
        ({"goal": "memory"}, "512"),
        ({"prefix_tokens": 2000, "prefixes": 8}, None),
        ({"prefix_tokens": 2000, "prefixes": 24}, "9000"),
        ({"prefix_tokens": 3000, "prefixes": 10_000}, "16384"),
    ],
    ids=["the default", "little memory", "the default holds them", "more", "a quarter"],
)
def test_the_prompt_cache_holds_the_prefixes_within_bounds(asked: Any, mib: str | None) -> None:
    assert setting(advice(card(), **asked), "CACHE_RAM").value == mib


@pytest.mark.parametrize(
    ("asked", "mib"),
    [
        ({}, "4096"),
        ({"prefix_tokens": 10, "prompt_tokens": 20}, "512"),
        ({"prefix_tokens": 2000, "prefixes": 8}, "3000"),
        ({"prefix_tokens": 3000, "prefixes": 10_000}, "4096"),
    ],
)
def test_with_little_main_memory_the_prompt_cache_is_no_larger_than_the_prefixes(
    asked: Any, mib: str
) -> None:
    found = advice(card(memory=Memory(total=16 * GIB, available=16 * GIB)), **asked)
    assert setting(found, "CACHE_RAM").value == mib


def test_a_prompt_cache_of_the_default_size_is_bounded_where_it_would_take_too_much() -> None:
    assert setting(advice(processor(16)), "CACHE_RAM").value not in (None, "8192")
    assert setting(advice(card(8), "llama3.1:70b"), "CACHE_RAM").value == "512"


@pytest.mark.parametrize(
    ("gib", "context"), [(8, 3584), (8.2, 4608), (8.6, 5376), (9, 7168), (80, 7168)]
)
def test_a_longer_prompt_is_not_cut_where_memory_is_left(gib: float, context: int) -> None:
    found = advice(card(gib), concurrent=2)
    assert found.environment["OLLAMA_NUM_PARALLEL"] == "2"
    assert found.models[0].context == context
    assert found.budget.used <= found.budget.usable


def test_no_slot_is_longer_than_the_model_was_trained_for() -> None:
    found = advice(card(80), model(trained_context=4096))
    assert found.models[0].context == 3584
    assert advice(card(80), goal="memory").models[0].context == 3584


def test_two_models_that_write_share_the_memory_for_prompts() -> None:
    found = advice(card(), "llama3.2:3b", "llama3.2:1b", prefix_tokens=3000, prefixes=10_000)
    assert setting(found, "CACHE_RAM").value == "8192"


def test_before_0_30_there_is_no_prompt_cache_to_bound() -> None:
    assert setting(advice(card(version="0.29.1")), "CACHE_RAM").value is None
    assert setting(advice(card(), "nomic-embed-text"), "CACHE_RAM").value is None


@pytest.mark.parametrize(
    ("more", "value"),
    [
        ({}, None),
        ({"ollama": Ollama(version="0.33.0", installed="kubernetes")}, "16"),
        ({"cpu": Cpu(physical_cores=8, logical_cores=8, fast_cores=4, architecture="arm64")}, "4"),
        (
            {"cpu": Cpu(physical_cores=8, logical_cores=8, fast_cores=4, architecture="x86-64")},
            None,
        ),
        ({"cpu": Cpu(physical_cores=16, logical_cores=2)}, "2"),
        ({"cpu": Cpu(physical_cores=8, logical_cores=16)}, None),
        ({"cpu": Cpu()}, None),
    ],
    ids=["all alike", "container", "big.LITTLE", "x86 knows", "quota", "hyper-threads", "unknown"],
)
def test_threads_are_told_only_where_the_default_is_wrong(more: Any, value: str | None) -> None:
    assert setting(advice(processor(**more)), "ARG_THREADS").value == value


def test_before_0_30_threads_are_an_option_of_each_model() -> None:
    cpu = Cpu(physical_cores=8, logical_cores=8, fast_cores=4, architecture="arm64")
    found = advice(processor(cpu=cpu, version="0.12.6"), "llama3.2:3b", "nomic-embed-text")
    assert setting(found, "ARG_THREADS").value is None
    assert found.options == {
        "llama3.2:3b": {"num_thread": 4}, "nomic-embed-text": {"num_thread": 4},
    }  # fmt: skip


def test_where_the_gpu_computes_threads_are_left_alone() -> None:
    cpu = Cpu(physical_cores=20, logical_cores=20, fast_cores=10, architecture="arm64")
    assert setting(advice(spark(cpu=cpu)), "ARG_THREADS").value is None


def test_before_0_5_13_the_context_is_an_option_too() -> None:
    found = advice(card(version="0.5.12"))
    assert found.options == {"llama3.1:8b": {"num_ctx": 7168}}
    assert "does not read it" in setting(found, "CONTEXT_LENGTH").reason


@pytest.mark.parametrize("version", [None, "0.0.0", "dev", "", "9" * 50, "1"])
def test_an_unknown_version_counts_as_the_current_one_and_is_said(version: str | None) -> None:
    found = advice(card(version=version))
    assert any(one.startswith("Ollama is the current one") for one in found.assumed)
    assert [one.what for one in found.unknown] == ["ollama.version"]
    assert setting(found, "CACHE_RAM").default.startswith("8192")


def test_a_release_candidate_has_what_the_release_has() -> None:
    found = advice(card(version="v0.30.0-rc3"))
    assert found.version == "0.30.0-rc3"
    assert not found.unknown
    assert setting(found, "CACHE_RAM").default.startswith("8192")


@pytest.mark.parametrize(
    ("family", "version", "slots"),
    [
        ("mllama", "0.9.6", 1),
        ("qwen3vl", "0.12.6", 4),
        ("qwen3vl", "0.12.7", 1),
        ("qwen35", "0.17.0", 4),
        ("qwen35", "0.17.1", 1),
        ("nemotron_h_omni", "0.21.0", 4),
        ("nemotron_h_omni", "0.33.0", 1),
    ],
)
def test_families_with_one_slot_go_by_the_version(family: str, version: str, slots: int) -> None:
    found = advice(card(version=version), model(architecture=family))
    assert found.models[0].slots == slots
    assert found.environment["OLLAMA_NUM_PARALLEL"] == str(slots)


def test_a_model_with_one_slot_leaves_the_others_theirs() -> None:
    found = advice(card(), model(name="llama3.2:3b"), model("qwen3:4b", architecture="qwen35"))
    assert [one.slots for one in found.models] == [4, 1]


def test_the_mlx_engine_and_recurrent_models_have_one_slot() -> None:
    for one in (model(model_format="safetensors"), model(recurrent=True)):
        assert advice(spark(), one).environment["OLLAMA_NUM_PARALLEL"] == "1"


@pytest.mark.parametrize(
    ("facts", "name", "goal", "slots"),
    [
        (card(80), "llama3.1:8b", "throughput", 8),
        (card(80), "gpt-oss:20b", "throughput", 8),
        (card(80), "gpt-oss:20b", "latency", 4),
        (card(80), "llama3.1:8b", "memory", 1),
        (processor(cores=16), "llama3.2:3b", "throughput", 2),
        (processor(cores=16), "llama3.2:3b", "latency", 1),
        (processor(cores=4), "llama3.2:3b", "throughput", 1),
        (spark(), "llama3.1:8b", "throughput", 32),
        (spark(), "gpt-oss:20b", "throughput", 8),
        (spark(), "gpt-oss:20b", "latency", 4),
        (spark(), "gpt-oss:120b", "throughput", 4),
        (spark(), "qwen3:30b", "throughput", 4),
        (spark(), "gemma3:4b", "throughput", 8),
    ],
)
def test_slots_end_at_the_knee(facts: Facts, name: str, goal: Any, slots: int) -> None:
    found = advice(facts, name, concurrent=64, goal=goal)
    assert found.environment["OLLAMA_NUM_PARALLEL"] == str(slots)
    assert f"{64 - slots} wait" in setting(found, "NUM_PARALLEL").reason


def test_for_fast_answers_it_is_said_what_a_stream_keeps() -> None:
    reason = setting(advice(spark(), goal="latency"), "NUM_PARALLEL").reason
    assert "nobody waits; each is written at 24 tokens/s, one alone at 29" in reason


@pytest.mark.parametrize(
    ("heads", "quantized"), [({}, True), ({"key_length": 80, "value_length": 80}, False)]
)
def test_heads_that_are_no_multiple_of_32_keep_f16(heads: Any, quantized: bool) -> None:
    found = advice(card(8), model(**heads), prompt_tokens=5000)
    assert (found.models[0].kv_type != "f16") is quantized


def test_q4_0_is_the_last_resort_and_said_to_be_bad() -> None:
    found = advice(card(8), prompt_tokens=30_000)
    assert (found.models[0].slots, found.models[0].kv_type) == (1, "q4_0")
    assert any(one.startswith("KV q4_0 changes answers clearly") for one in found.warnings)


def test_homebrew_sets_a_cache_type_so_f16_is_written() -> None:
    found = advice(card(ollama=Ollama(version="0.33.0", installed="homebrew")))
    assert setting(found, "KV_CACHE_TYPE").value == "f16"


def test_a_present_value_that_must_go_is_said() -> None:
    now = {"OLLAMA_FLASH_ATTENTION": "0", "OLLAMA_NUM_PARALLEL": "9"}
    found = advice(card(ollama=Ollama(version="0.33.0", environment=now)))
    assert "It is set to 0 now: remove it." in setting(found, "FLASH_ATTENTION").reason
    assert "OLLAMA_FLASH_ATTENTION is set to 0 now and should not be: remove it" in found.warnings


def test_what_other_programs_hold_is_not_counted_on() -> None:
    gpu = Gpu(vendor="nvidia", name="Card", memory=24 * GIB, free=12 * GIB, integrated=False)
    own = Loaded(name="llama3.1:8b", size=6 * GIB, size_vram=6 * GIB)
    found = advice(machine(gpus=(gpu,), loaded=(own,)))
    assert found.budget.usable == 18 * GIB * 4 // 5
    assert any("other programs hold 6.00 GiB" in one for one in found.warnings)


def test_what_ollama_holds_now_counts_as_free() -> None:
    memory = Memory(total=32 * GIB, available=16 * GIB)
    own = Loaded(name="llama3.1:8b", size=6 * GIB)
    found = advice(machine(gpus=(), memory=memory, loaded=(own,)))
    assert found.budget.usable == 11 * GIB * 4 // 5


def test_unified_memory_keeps_some_for_all_else() -> None:
    found = advice(spark(120))
    assert found.budget.usable == (120 * GIB - 120 * GIB // 16) * 4 // 5
    apple = Gpu(vendor="apple", name="Apple M2", memory=10 * GIB)
    memory = Memory(total=16 * GIB, available=12 * GIB, unified=True)
    small = advice(machine(gpus=(apple,), memory=memory), "llama3.2:3b")
    assert small.budget.usable == 8 * GIB * 4 // 5


def test_a_gpu_that_ollama_leaves_alone_is_named() -> None:
    left = (Gpu(vendor="intel", name="Intel UHD", integrated=True),)
    found = advice(msgspec.structs.replace(processor(), unused_gpus=left))
    assert any("Ollama leaves Intel UHD alone" in one for one in found.warnings)
    assert found.budget.place == "host"


def test_a_gpu_whose_memory_is_unknown_is_asked_for() -> None:
    gpu = Gpu(vendor="amd", name="AMD Card", integrated=False)
    found = advice(machine(gpus=(gpu,)))
    assert not found.fits
    assert [one.what for one in found.unknown] == ["gpus.memory"]


def test_what_does_not_fit_says_what_would() -> None:
    (said, *_) = advice(card(8), prompt_tokens=100_000).warnings
    assert "a context of at most 25,600 tokens, or a smaller model" in said
    (said, *_) = advice(card(24), "llama3.1:70b").warnings
    assert "17.56 GiB more than the GPU has for it" in said
    assert "a quantization of at most 2.7 bits a weight (now 4.8)" in said
    assert "it will not load" not in said
    small = machine(gpus=card(24).gpus, memory=Memory(total=8 * GIB, available=8 * GIB))
    assert "it will not load" in advice(small, "llama3.1:70b").warnings[0]


def test_the_context_of_a_modelfile_is_counted_and_said_to_be_too_little() -> None:
    found = advice(card(), model(options={"num_ctx": 2048}))
    assert found.models[0].context == 2048
    assert any("too little for these prompts" in one for one in found.warnings)


@pytest.mark.parametrize("value", ["4096", 0, -1, True, None, 2**40, 1.5])
def test_a_senseless_option_of_a_modelfile_is_passed_over(value: Any) -> None:
    assert advice(card(), model(options={"num_ctx": value})).models[0].context == 7168


def test_the_models_on_the_server_are_meant_where_none_is_named() -> None:
    names = ("nomic-embed-text", "llama3.1:8b")
    facts = msgspec.structs.replace(card(), models=tuple(model(name) for name in names))
    assert [one.name for one in advise(facts, Workload()).models] == list(reversed(names))
    loaded = msgspec.structs.replace(facts, loaded=(Loaded(name="llama3.1:8b"),))
    found = advise(loaded, Workload())
    assert found.workload.models == ("llama3.1:8b",)
    assert found.assumed[0] == "the models that are loaded now are meant: llama3.1:8b"


def test_the_default_context_is_told_by_what_decides_it() -> None:
    without, with_one = advice(processor()), advice(card())
    assert setting(without, "CONTEXT_LENGTH").default == "4,096 without a GPU, whatever the slots"
    assert "by the GPU memory" in setting(with_one, "CONTEXT_LENGTH").default
    told = study_2025(processor(), Workload(models=("llama3.1:8b",))).assumed
    assert any("4,096 tokens without a GPU" in one for one in told)
