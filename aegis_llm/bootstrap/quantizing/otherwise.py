"""When to decide otherwise than the rule does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.quantizing.published import kind_of
from aegis_llm.bootstrap.quantizing.results import Otherwise
from aegis_llm.bootstrap.quantizing.weighing import native_of


def otherwise_of(model: ModelFacts, facts: Facts) -> Iterator[Otherwise]:
    """Yield the cases that concern a model and a machine."""
    if model.embeds or model.model_format != "gguf":
        return
    if (model.quantization or "").upper() == "MXFP4" and native_of(model):
        yield Otherwise(
            when="a Q4 or Q8 file of this model is offered",
            take="the MXFP4 one",
            why="the experts were trained in it; wider files store the same numbers in more "
            "bytes, narrower ones lose",
        )
        return
    base, narrow = kind_of("Q4_K_M"), kind_of("IQ4_XS")
    if base is not None and narrow is not None and base.loss and narrow.loss:
        yield Otherwise(
            when="Q4_K_M misses by less than a tenth",
            take="IQ4_XS, made with an importance matrix",
            why=f"{1 - narrow.bits / base.bits:.0%} smaller, mean KL divergence "
            f"{narrow.loss.divergence:.3f} against {base.loss.divergence:.3f} (0.028 for Q4_K_M "
            "with a matrix); faster too where it was measured (77.5 against 71.9 tokens/s)",
        )
    yield Otherwise(
        when="hf.co has a dynamic one (UD-Q4_K_XL) of the same size",
        take="it, for the same bytes",
        why="layers that matter more have more bits; its makers and others report less "
        "divergence at equal size, which is second-hand here: compare by your own questions",
    )
    if (model.architecture or "").startswith("gemma"):
        yield Otherwise(
            when="there is a tag with -qat",
            take="it, whatever Q4_0 loses otherwise",
            why="trained for four bits: perplexity of the 4B in Q4_0 14.58 against 16.80 without "
            "(hf.co/stduhpf/google-gemma-3-4b-it-qat-q4_0-gguf-small)",
        )
    if any(gpu.capability and gpu.capability.startswith(("10.", "12.")) for gpu in
           facts.gpus or ()):  # fmt: skip
        yield Otherwise(
            when="answers for many at once matter more than Ollama",
            take="NVFP4 with vLLM or TensorRT-LLM",
            why="this GPU computes in its four bits; one answer gains nothing: NVIDIA is quoted "
            "with 38.65 tokens/s for Llama-3.1-8B in NVFP4 on a DGX Spark (second-hand)",
        )
    yield Otherwise(
        when="a larger model of the family fits in Q4_K_M where this one would in Q8_0",
        take="the larger one, and compare",
        why="a common rule without a source; the next size has more to give than the last "
        "thousandths of divergence",
    )
