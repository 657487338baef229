"""Which quantization to take: cases reviewed by hand, and single rules."""

from __future__ import annotations

import msgspec
import pytest

from aegis_llm.bootstrap.facts import Facts, Gpu, Memory
from aegis_llm.bootstrap.quantizing import KINDS, Quantizations, kind_of
from tests.bootstrap.quantizing import (
    GIB,
    LARGE,
    LLAMA,
    SMALL,
    SPARK,
    asked,
    changed,
    known,
    on_server,
    row,
)


def test_llama_on_a_dgx_spark_keeps_q4_k_m_because_bytes_are_speed() -> None:
    found = asked(LLAMA, SPARK)
    assert (found.slots, found.context) == (4, 3584)
    assert found.installed.remark == (
        "8 x 4,920,753,328 / 8,030,261,312 = 4.90 bits a weight; usual for Q4_K_M (4.89)"
    )
    assert [(o.label, o.fits, o.ceiling, o.likely) for o in found.offers] == [
        ("F16", "f16", 17.0, 14.4),
        ("Q8_0", "f16", 32.0, 27.2),
        ("Q6_K", "f16", 41.4, 35.2),
        ("Q5_K_M", "f16", 47.6, 40.5),
        ("Q4_K_M", "f16", 55.5, 47.2),
        ("IQ4_XS", "f16", 60.9, 51.8),
        ("Q3_K_M", "f16", 67.9, 57.7),
        ("Q2_K", "f16", 85.9, 73.0),
    ]
    published = (14.96, 7.95, 6.14, 5.33, 4.58, 4.17, 3.74, 2.95)  # GiB of Llama-3.1-8B
    assert [o.size / GIB for o in found.offers] == pytest.approx(published, abs=0.012)
    taken = found.recommended
    assert (taken.label, taken.kv_type, taken.slots, taken.keep) == ("Q4_K_M", "f16", 4, True)
    for figure in ("Q5_K_M may write 40 tokens/s", "Q8_0 27", "Q4_K_M 47", "where 50 are left",
                   "perplexity +2.8%", "0.0313"):  # fmt: skip
        assert figure in taken.reason


def test_llama_on_8_gb_fits_with_four_slots_by_a_cache_of_q8_0() -> None:
    found = asked(LLAMA, SMALL)
    assert row(found, "Q5_K_M").fits is None
    assert row(found, "Q4_K_M").needs_f16 > found.usable
    taken = found.recommended
    assert (taken.label, taken.kv_type, taken.slots, taken.keep) == ("Q4_K_M", "q8_0", 4, True)
    assert "6.26 GiB of 6.40 GiB" in taken.reason
    assert "Q5_K_M does not fit with 7.02 GiB" in taken.reason


def test_more_requests_than_fit_wait_rather_than_lose_bits() -> None:
    taken = asked(LLAMA, SMALL, concurrent=8).recommended
    assert (taken.label, taken.kv_type, taken.slots) == ("Q4_K_M", "q8_0", 4)
    assert "8 slots of 3,584 tokens do not fit with IQ4_XS or wider; Q4_K_M does with 4" in (
        taken.reason
    )
    assert "To wait for a slot is better" in taken.reason


def test_iq4_xs_where_q4_k_m_just_misses() -> None:
    taken = asked(LLAMA, SMALL, concurrent=5).recommended
    assert (taken.label, taken.kv_type, taken.slots, taken.keep) == ("IQ4_XS", "q8_0", 5, False)
    assert taken.reason.count("Q4_K_M does not fit with 6.49 GiB") == 1
    assert "hf.co" in taken.how


def test_where_bandwidth_is_plenty_the_largest_up_to_q8_0_is_taken() -> None:
    taken = asked(LLAMA, LARGE).recommended
    assert (taken.label, taken.keep) == ("Q8_0", False)
    assert "23.1 times its divergence (0.0313 against 0.0014)" in taken.reason
    assert "llama3.1/tags for one that ends in q8_0" in taken.how


@pytest.mark.parametrize(
    ("least", "label"), [(25, "Q8_0"), (30, "Q6_K"), (45, "Q4_K_M"), (50, "IQ4_XS"), (60, None)]
)
def test_a_wish_for_speed_decides_how_many_bits_there_may_be(
    least: float, label: str | None
) -> None:
    taken = asked(LLAMA, SPARK, least).recommended
    assert taken.label == label
    if label == "IQ4_XS":
        assert "Q4_K_M may write 47 tokens/s only" in taken.reason
    if label is None:
        assert "60 tokens/s need a smaller model" in taken.reason


def test_goals_decide_what_speed_must_be_left() -> None:
    assert asked(LLAMA, LARGE, goal="throughput").recommended.label == "Q8_0"
    assert asked(LLAMA, LARGE, goal="latency").recommended.label == "Q8_0"  # 100.3 are left
    assert asked(known("qwen3:14b"), LARGE, goal="latency").recommended.label == "Q4_K_M"
    assert asked(LLAMA, LARGE, goal="memory").recommended.label == "Q4_K_M"


def test_gpt_oss_is_never_quantized_anew() -> None:
    found = asked(known("gpt-oss:20b"), SPARK)
    assert [one.label for one in found.offers] == ["MXFP4"]
    assert (found.recommended.label, found.recommended.keep) == ("MXFP4", True)
    assert "never quantize it anew" in found.recommended.reason
    # 1.83e9 weights of 16 bits, of which the table of words is looked up, and 4 of 32 experts
    assert row(found, "MXFP4").active == pytest.approx(3.73e9, rel=0.01)
    assert row(found, "MXFP4").ceiling == 73.2
    assert "1.83 billion weights that are no experts" in found.active
    assert [one.take for one in found.otherwise] == ["the MXFP4 one"]


def test_mxfp4_of_a_model_that_was_not_trained_in_it_is_four_bits_like_others() -> None:
    other = changed(known("qwen3:30b"), quantization="MXFP4", size=16_300_000_000)
    found = asked(other, SPARK)
    assert "nothing is published for 'MXFP4'; about as wide as Q3_K_L" in found.installed.remark
    assert found.recommended.label == "Q8_0"


def test_nvfp4_is_kept() -> None:
    found = asked(changed(LLAMA, quantization="NVFP4"), SPARK)
    assert (found.recommended.label, found.recommended.keep) == ("NVFP4", True)


def test_a_mixture_of_experts_reads_a_share_of_its_weights() -> None:
    found = asked(known("qwen3:30b"), SPARK)
    one = row(found, "Q4_K_M")
    assert one.active is not None
    assert 1 / 16 < one.active / one.size < 0.1  # 8 of 128 experts, and the attention
    assert one.likely == pytest.approx(0.6 * (one.ceiling or 0), abs=0.1)
    unknown = asked(changed(known("qwen3:30b"), experts_used=None), SPARK)
    assert {(o.active, o.ceiling) for o in unknown.offers} == {(None, None)}
    assert "how many of them a token uses is not known" in unknown.offers[0].no_ceiling


def test_a_label_that_tells_nothing_is_measured_by_its_bits() -> None:
    found = asked(changed(LLAMA, quantization="unknown"), SPARK)
    assert "nothing is published for 'unknown'; about as wide as Q4_K_M" in found.installed.remark
    assert found.installed.usual is None
    assert (found.recommended.label, found.recommended.keep) == ("unknown", True)
    assert "Nothing is published" in found.recommended.reason


def test_a_dynamic_quantization_shows() -> None:
    named = asked(changed(LLAMA, name="hf.co/unsloth/Llama-3.1-8B-GGUF:UD-Q4_K_XL",
                          quantization="unknown", size=4_990_000_000), SPARK)  # fmt: skip
    assert "a dynamic quantization" in named.installed.remark
    assert named.recommended.keep
    by_size = asked(changed(LLAMA, size=5_300_000_000), SPARK)
    assert "8% more than Q4_K_M has: wider embeddings" in by_size.installed.remark


def test_a_worse_quantization_of_the_same_size_is_told_apart() -> None:
    taken = asked(changed(LLAMA, quantization="Q4_0", size=4_661_211_424), SPARK).recommended
    assert (taken.label, taken.keep) == ("Q4_K_M", False)
    assert "Q4_0, what the tag holds, has 2.3 times its divergence" in taken.reason


def test_a_model_that_was_trained_for_four_bits_is_kept() -> None:
    qat = changed(known("gemma3:4b"), name="gemma3:4b-it-qat", quantization="Q4_0")
    assert asked(qat, LARGE).recommended.keep
    said = asked(known("gemma3:4b"), LARGE).otherwise
    assert any("-qat" in one.when and "14.58 against 16.80" in one.why for one in said)


def test_the_projector_of_a_vision_model_is_counted_with_each_quantization() -> None:
    found = asked(known("gemma3:4b"), LARGE)
    assert "the projector for images is in the size" in found.installed.remark
    extra = row(found, "Q4_K_M").size - 4_299_915_632 * 4.8944 / 8
    assert row(found, "Q8_0").size == pytest.approx(4_299_915_632 * 8.5008 / 8 + extra, abs=2)


def test_an_embedding_model_is_kept_and_has_no_speed_of_writing() -> None:
    found = asked(known("nomic-embed-text"), SPARK)
    assert (found.slots, [o.label for o in found.offers]) == (1, ["F16"])
    assert found.offers[0].no_ceiling == "an embedding model writes no tokens"
    assert (found.recommended.label, found.recommended.keep) == ("F16", True)
    assert "embed every document anew" in found.recommended.reason
    assert (found.offers[0].loss, found.otherwise) == (None, ())


def test_a_file_of_16_bits_can_be_quantized_here() -> None:
    wide = changed(LLAMA, name="mine:latest", quantization="F16", size=16_068_891_136)
    taken = asked(wide, on_server(SPARK, wide)).recommended
    assert taken.label == "Q4_K_M"
    assert "ollama create --quantize q4_K_M mine:q4_k_m" in taken.how


def test_what_is_not_on_the_server_is_not_called_installed() -> None:
    assert asked(LLAMA, SPARK).recommended.reason.startswith("what the tag holds")
    assert LLAMA is not None
    here = asked(LLAMA, on_server(SPARK, LLAMA)).recommended.reason
    assert here.startswith("what is installed")


def test_nothing_fits_and_it_says_so() -> None:
    found = asked(known("llama3.1:70b"), SMALL)
    assert (found.recommended.label, found.recommended.keep) == (None, False)
    assert "not one slot fits in 7.00 GiB; Q2_K alone has 25.95 GiB" in found.recommended.reason
    assert {o.ceiling for o in found.offers} == {None}


def test_without_a_bandwidth_there_is_no_ceiling_and_nothing_slower_is_taken() -> None:
    facts = Facts(memory=Memory(total=64 * GIB), gpus=())
    found = asked(LLAMA, facts)
    assert {o.ceiling for o in found.offers} == {None}
    assert 'give "bandwidth"' in found.offers[0].no_ceiling
    assert "memory.bandwidth" in [one.what for one in found.unknown]
    assert found.recommended.label == "Q4_K_M"
    wide = changed(LLAMA, quantization="Q8_0", size=8_540_000_000)
    assert (asked(wide, facts).recommended.label, asked(wide, facts).recommended.keep) == (
        "Q8_0", True,
    )  # fmt: skip
    half = changed(LLAMA, quantization="F16", size=16_068_891_136)
    assert asked(half, facts).recommended.label == "Q8_0"


def test_other_models_keep_their_memory() -> None:
    alone = asked(LLAMA, LARGE, models=("llama3.1:8b",))
    both = asked(LLAMA, LARGE, models=("llama3.1:8b", "nomic-embed-text"))
    assert 0 < alone.usable - both.usable < GIB
    assert "of the other models" in both.room


def test_quantized_caches_that_do_not_work_are_not_offered() -> None:
    found = asked(changed(LLAMA, architecture="grok"), SMALL)
    assert {one.needs_q8_0 for one in found.offers} == {None}
    assert (found.recommended.label, found.recommended.kv_type) == ("IQ4_XS", "f16") or (
        found.recommended.slots < 4
    )


def test_two_gpus_are_as_fast_as_the_slower() -> None:
    gpus = tuple(Gpu(vendor="nvidia", name=f"G{n}", memory=24 * GIB, bandwidth=rate)
                 for n, rate in enumerate((9e11, 5e11)))  # fmt: skip
    facts = Facts(memory=Memory(total=64 * GIB), gpus=gpus)
    assert asked(LLAMA, facts).bandwidth == 5e11
    half = msgspec.structs.replace(gpus[1], bandwidth=None)
    assert asked(LLAMA, msgspec.structs.replace(facts, gpus=(gpus[0], half))).bandwidth is None


def test_the_result_is_data() -> None:
    found = asked(LLAMA, SPARK)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Quantizations) == found
    assert list(msgspec.to_builtins(found))[:4] == ["v", "model", "installed", "slots"]


def test_the_table_of_losses_is_in_order() -> None:
    assert [kind.bits for kind in KINDS] == sorted((kind.bits for kind in KINDS), reverse=True)
    assert len({kind.label for kind in KINDS}) == len(KINDS)
    base = kind_of("q4_k_m")
    assert base is kind_of("Q4_K")
    assert base is not None
    assert base.loss is not None
    assert (base.loss.increase, base.loss.increase_70b) == (0.02816, 0.012)
    for kind in KINDS:  # perplexity and its increase are of one measurement
        if kind.loss is not None:
            at = 6.231636 * (1 + kind.loss.increase)
            assert kind.loss.perplexity == pytest.approx(at, abs=1e-3)
