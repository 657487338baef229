"""What holds of the quantizations of any model on any machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aegis_llm.bootstrap.facts import Facts, Gpu, Memory, ModelFacts
from tests.bootstrap.quantizing import GIB, asked, known, row

sizes = st.integers(1 * GIB, 200 * GIB)


def machine(memory: int, bandwidth: float | None) -> Facts:
    gpu = Gpu(vendor="nvidia", name="G", memory=memory, bandwidth=bandwidth)
    return Facts(memory=Memory(total=64 * GIB), gpus=(gpu,))


MODELS = st.sampled_from(
    [
        known(name)
        for name in (
            "llama3.1:8b",
            "llama3.2:1b",
            "gpt-oss:20b",
            "qwen3:30b",
            "gemma3:12b",
            "llama3.1:70b",
        )
    ]
)


@given(MODELS, sizes, st.none() | st.floats(1e9, 1e13), st.integers(1, 16),
       st.integers(1, 100_000), st.sampled_from(["throughput", "latency", "memory"]),
       st.none() | st.floats(1, 500))  # fmt: skip
def test_what_is_recommended_fits_and_is_fast_enough(
    model: ModelFacts, memory: int, rate: float | None, concurrent: int, tokens: int, goal: str,
    least: float | None,
) -> None:  # fmt: skip
    found = asked(model, machine(memory, rate), least,
                  concurrent=concurrent, prompt_tokens=tokens, goal=goal)  # fmt: skip
    taken = found.recommended
    assert taken.reason
    if taken.label is None:
        return
    one = row(found, taken.label)
    assert (one.slots, taken.keep) == (taken.slots, one.installed)
    if one.fits is not None:
        needs = one.needs_f16 if taken.kv_type == "f16" else one.needs_q8_0
        assert needs is not None
        assert needs <= found.usable
        if least is not None and one.likely is not None and len(found.offers) > 1:
            assert one.likely >= least
    else:
        assert 0 < one.slots < concurrent


@given(MODELS, sizes, sizes)
def test_more_memory_never_holds_less(model: ModelFacts, one: int, other: int) -> None:
    small, large = (asked(model, machine(size, 1e12)) for size in sorted((one, other)))
    rank = {None: 0, "q8_0": 1, "f16": 2}
    for less, more in zip(small.offers, large.offers, strict=True):
        assert rank[less.fits] <= rank[more.fits]
        assert less.slots <= more.slots
