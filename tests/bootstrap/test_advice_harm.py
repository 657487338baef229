"""What advice must not do to a server: keep models from loading, cut texts, swap without need."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising import advise, profile
from aegis_llm.bootstrap.advising.together import predicted
from aegis_llm.bootstrap.advising.versions import release_of
from aegis_llm.bootstrap.facts import Facts, Gpu, Memory, Ollama
from aegis_llm.bootstrap.quantizing import quantizations
from aegis_llm.bootstrap.variables import default_context, release
from aegis_llm.errors import ConfigError
from tests.bootstrap.advising import GIB, advice, card, golden, machine, model, processor, setting


def old_card(capability: str | None, gib: float = 8) -> Any:
    gpu = Gpu(
        vendor="nvidia", name="NVIDIA Card", memory=int(gib * GIB), capability=capability,
        integrated=False,
    )  # fmt: skip
    return machine(gpus=(gpu,))


@pytest.mark.parametrize(
    ("capability", "quantized"),
    [("5.2", False), ("3.7", False), ("7.2", False), ("6.0", True), ("7.5", True), ("12.1", True),
     (None, True), ("odd", True)],
)  # fmt: skip
def test_a_gpu_without_flash_attention_gets_no_quantized_cache(
    capability: str | None, quantized: bool
) -> None:
    """From 0.30 on Ollama turns flash attention off there, and no model would load."""
    facts = old_card(capability)
    for goal in ("throughput", "memory"):
        found = advice(facts, prompt_tokens=16_000, goal=goal)
        assert (found.environment.get("OLLAMA_KV_CACHE_TYPE") == "q8_0") is quantized
        assert ("GPU of this kind" in setting(found, "FLASH_ATTENTION").reason) is not quantized
    offers = quantizations(model(), facts, Workload(models=("llama3.1:8b",))).offers
    assert {one.needs_q8_0 is not None for one in offers} == {quantized}


def test_a_mac_of_16_gb_holds_a_model_and_an_embedding_model() -> None:
    """Metal's limit leaves a third of the memory to all else: that is not subtracted again."""
    found = advise(profile("m-series-16gb"), Workload(models=("llama3.1:8b", "nomic-embed-text")))
    assert found.fits
    assert found.environment["OLLAMA_MAX_LOADED_MODELS"] == "2"
    assert found.budget.usable == 11453246122 * 4 // 5


def test_what_the_gpu_reaches_is_no_more_than_what_is_left_to_all_else() -> None:
    apple = Gpu(vendor="apple", name="Apple M2", memory=10 * GIB)
    memory = Memory(total=16 * GIB, available=10 * GIB, unified=True)
    found = advice(machine(gpus=(apple,), memory=memory), "llama3.2:3b")
    assert found.budget.usable == 6 * GIB * 4 // 5


def test_an_embedding_model_alone_gets_what_it_was_trained_with() -> None:
    """It keeps no cache, so a shorter context saves nothing and cuts chunks."""
    found = advice(card(), "nomic-embed-text", prompt_tokens=400, output_tokens=1)
    assert found.environment["OLLAMA_CONTEXT_LENGTH"] == "2048"
    assert setting(found, "CONTEXT_LENGTH").arithmetic.endswith(
        "as trained, as more takes nothing: 2,048"
    )


def test_an_embedding_model_made_from_an_llm_has_a_cache() -> None:
    made = msgspec.structs.replace(model("qwen3:8b"), name="qwen3-embedding:8b", embeds=True)
    found = advice(card(), made, prompt_tokens=3000, output_tokens=1)
    (plan,) = found.models
    assert (plan.slots, plan.context) == (1, 6144)
    assert plan.kv == 6144 * 144 * 1024
    assert plan.why_slots == "an embedding model has one slot"


@pytest.mark.parametrize(("prompt", "said"), [(300, True), (3000, False)])
def test_chunks_that_short_prompts_would_cut_are_spoken_of(prompt: int, said: bool) -> None:
    found = advice(
        card(), "llama3.1:8b", "nomic-embed-text", goal="memory", prompt_tokens=prompt,
        output_tokens=100,
    )  # fmt: skip
    assert any("longer texts to embed are cut" in one for one in found.warnings) is said


@pytest.mark.parametrize(("trained", "context"), [(131_072, 4096), (2048, 2048)])
def test_short_prompts_get_no_less_than_without_tuning(trained: int, context: int) -> None:
    found = advice(card(), model(trained_context=trained), prompt_tokens=300, output_tokens=100)
    assert found.environment["OLLAMA_CONTEXT_LENGTH"] == str(context)


@pytest.mark.parametrize("name", ["hybrid", "embedding-only"])
def test_of_a_model_with_one_slot_it_is_not_said_how_many_the_memory_would_hold(name: str) -> None:
    case = golden(name)
    workload = msgspec.convert(case["workload"], Workload)
    found = advise(msgspec.convert(case["facts"], type(card())), workload)
    assert "would hold" not in setting(found, "NUM_PARALLEL").arithmetic


def test_a_model_that_takes_most_of_the_memory_is_not_said_to_leave_none() -> None:
    found = advice(card(48), "llama3.3:70b")
    assert setting(found, "NUM_PARALLEL").reason == (
        "It takes more than 80 % of the memory, and no second slot is planned there "
        "(4 would help)."
    )


def test_a_native_quantization_is_not_told_to_be_narrower() -> None:
    found = advice(card(8), "gpt-oss:20b")
    assert not found.fits
    assert "bits a weight" not in found.warnings[0]


def test_a_build_of_ones_own_is_called_one() -> None:
    found = advice(card(version="0.0.0-dirty"))
    assert [one.why for one in found.unknown] == [
        "'0.0.0-dirty' is no release: a build of one's own"
    ]


@pytest.mark.parametrize(
    ("version", "context"),
    [("0.5.13", "2,048"), ("0.6.6", "2,048"), ("0.6.7", "4,096"), ("0.15.4", "4,096"),
     ("0.15.5", "32,768"), ("0.30", "32,768")],
)  # fmt: skip
def test_the_default_context_is_that_of_the_version(version: str, context: str) -> None:
    """It was 2048 up to 0.6.6; the linter says the same."""
    found = advice(card(24, version=version))
    assert setting(found, "CONTEXT_LENGTH").default.split()[0] == context
    numbers = release(version)
    assert numbers is not None
    assert f"{default_context(numbers, 24 * GIB):,}" == context


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0.9", (0, 9, 0)), ("v0.33.0-rc2", (0, 33, 0)), ("0.12.6", (0, 12, 6)), ("0.0.0", None),
     ("dev", None), ("1" * 5000 + ".2.3", None), ("0." + "9" * 5000, None), ("", None)],
)  # fmt: skip
def test_a_version_is_read_in_one_place(text: str, numbers: Any) -> None:
    assert release(text) == numbers
    told = release_of(text)
    assert told.known is (numbers is not None)
    assert not told.known or told.numbers == numbers


def test_quantizations_of_a_model_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="layers=2147483647 is not usable"):
        quantizations(model(layers=2**31 - 1), card(), Workload())


def test_models_that_ollama_would_unload_for_each_other_are_not_said_to_stay() -> None:
    """It counts windows as whole contexts and q8_0 as f16 before it loads one beside another."""
    two = "gemma3:12b", "gemma3:4b"
    assert advice(card(26), *two, concurrent=1, prompt_tokens=30_000).fits
    far = advice(card(26), *two, concurrent=1, prompt_tokens=50_000)
    assert sum(one.total for one in far.models) <= 26 * GIB * 4 // 5
    assert not far.fits
    assert far.environment["OLLAMA_MAX_LOADED_MODELS"] == "1"
    assert "would fit together, but Ollama counts f16" in far.warnings[0]


def test_one_overrated_model_may_stay_as_it_can_come_first() -> None:
    found = advice(card(24), "gemma3:12b", "nomic-embed-text", concurrent=1, prompt_tokens=60_000)
    assert found.fits


def test_the_estimate_is_that_of_ollama() -> None:
    """`PredictServerVRAM`: the file and 2 x layers x KV heads x head x context x 2 bytes."""
    found = advice(card(80), "gemma3:12b", concurrent=2, prompt_tokens=7692).models[0]
    assert (found.slots, found.context) == (2, 16_384)
    assert predicted(model("gemma3:12b"), found) == found.weights + 2 * 48 * 8 * 240 * 32_768 * 2


@pytest.mark.parametrize(
    ("name", "size"),
    [("llama3.1:405b", 405e9), ("deepseek-r1:671b-x", 671e9), ("mixtral:8x7b", 56e9),
     ("hf.co/u/Some-1.5B-GGUF:Q4_K_M", 1.5e9)],
)  # fmt: skip
def test_an_unknown_model_is_as_large_as_its_name_says(name: str, size: float) -> None:
    found = advise(card(24), Workload(models=(name,)))
    assert found.models[0].weights == int(size * 4.89 / 8)
    assert found.fits is (size < 30e9)
    (said,) = found.assumed[:1]
    assert f"by its name it has {size / 1e9:g} billion parameters" in said
    assert [one.what for one in found.unknown] == [f"models.{name}"]


def test_of_unknown_memory_it_is_not_said_that_nothing_fits() -> None:
    found = advise(Facts(gpus=(Gpu(vendor="other", name="Card"),)), Workload(models=("own:7b",)))
    for name in ("NUM_PARALLEL", "KV_CACHE_TYPE", "KEEP_ALIVE"):
        reason = setting(found, name).reason
        assert "not known" in reason
        assert "not fit" not in reason


@pytest.mark.parametrize(
    ("now", "said"), [("0", True), ("'false'", True), ("1", False), ("off", False), (" ", False)]
)
def test_flash_attention_that_is_on_may_stay(now: str, said: bool) -> None:
    """Ollama takes `off` as on; NVIDIA's page on the DGX Spark sets 1."""
    server = Ollama(version="0.33.0", environment={"OLLAMA_FLASH_ATTENTION": now})
    found = advice(card(ollama=server))
    assert any("FLASH_ATTENTION is set to" in one for one in found.warnings) is said
    assert ("remove it" in setting(found, "FLASH_ATTENTION").reason) is said


def test_on_a_processor_ollama_is_not_said_to_unload() -> None:
    found = advice(processor(16, cores=4), "llama3.1:8b", prompt_tokens=17_000)
    assert found.fits
    assert "other programs need" in found.warnings[0]
    assert not any("will unload it" in one for one in found.warnings)


def test_flash_attention_that_is_off_now_is_turned_on_for_a_quantized_cache() -> None:
    """Left as it is, no model would load any more; a file of ours cannot take it away."""
    server = Ollama(version="0.33.0", environment={"OLLAMA_FLASH_ATTENTION": "0"})
    found = advice(card(8, ollama=server), prompt_tokens=16_000)
    assert found.environment["OLLAMA_KV_CACHE_TYPE"] == "q8_0"
    assert found.environment["OLLAMA_FLASH_ATTENTION"] == "1"
