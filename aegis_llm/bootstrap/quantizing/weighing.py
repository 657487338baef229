"""Bits of a weight, sizes, and what one token reads of them. Pure."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from aegis_llm.bootstrap.advising.words import gib
from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.bootstrap.quantizing.published import KINDS, Kind, kind_of
from aegis_llm.bootstrap.quantizing.results import Installed

_LEAST_BITS, _MOST_BITS = 1.0, 40.0
_APART = 0.03
_EXPERT_BITS = Fraction(17, 4)  # MXFP4: 32 weights of 4 bits and a scale of 8
_WIDE_BITS = 16
_OSS = ("gptoss", "gpt-oss")


def installed_of(model: ModelFacts) -> Installed:
    """Return what the file is, by its label and by its size."""
    bits = bits_of(model)
    kind = kind_of(model.quantization)
    usual = None if kind is None else kind.bits
    return Installed(
        label=model.quantization,
        size=model.size,
        parameters=model.parameters,
        bits=bits,
        usual=usual,
        remark=_remark(model, bits, kind),
    )


def bits_of(model: ModelFacts) -> float | None:
    """Return the bits of a weight; None where size and parameters are unknown or absurd."""
    if not model.size or not model.parameters:
        return None
    bits = 8 * model.size / model.parameters
    return bits if _LEAST_BITS <= bits <= _MOST_BITS else None


def is_dynamic(model: ModelFacts) -> bool:
    """Return whether the name says that layers are quantized each in its own way."""
    return "ud-" in model.name.lower() or (model.quantization or "").upper().startswith("UD")


def is_trained(model: ModelFacts) -> bool:
    """Return whether the name says that the model was trained for its quantization."""
    return "qat" in model.name.lower().replace(":", "-").split("-")


def native_of(model: ModelFacts) -> str:
    """Return why a model is not to be had in other bits than its own; empty where it is."""
    label = (model.quantization or "").upper()
    if label == "MXFP4" and (model.architecture in _OSS or "gpt-oss" in model.name.lower()):
        return (
            "its experts were trained in it to the end (OpenAI's model card: 4.25 bits), so there "
            "is no wider original to be true to"
        )
    if label == "NVFP4":
        return "it is made for Blackwell GPUs, which compute in its four bits"
    return ""


def nearest(bits: float) -> Kind:
    """Return the quantization of about so many bits."""
    return min(KINDS, key=lambda kind: abs(kind.bits - bits))


def size_of(model: ModelFacts, kind: Kind) -> int | None:
    """Return the bytes of another quantization of a model: bits x parameters / 8, and the rest.

    The rest is what the file holds beyond that for its own label: a projector, or embeddings
    that are kept wider, which weighs in small models.
    """
    if not model.parameters:
        return None
    return int(model.parameters * kind.bits / 8) + rest_of(model)


def rest_of(model: ModelFacts) -> int:
    """Return the bytes of a file beyond the bits of its label."""
    kind = kind_of(model.quantization)
    if kind is None or bits_of(model) is None or is_dynamic(model) or is_trained(model):
        return 0
    return max(0, (model.size or 0) - int((model.parameters or 0) * kind.bits / 8))


class Active(NamedTuple):
    """What one token reads of the weights, as a share of the file, and how it was counted."""

    share: float | None
    how: str


def active_of(model: ModelFacts) -> Active:
    """Return the share of the weights that one token reads."""
    if not model.experts:
        return Active(1.0, "each token reads all weights (dense)")
    if model.experts_used is None or not model.parameters:
        said = "a mixture of experts, and how many of them a token uses is not known"
        return Active(None, said)
    used = min(Fraction(1), Fraction(model.experts_used, model.experts))
    always = _attention(model)
    shown = f"{model.experts_used} of {model.experts} experts"
    if model.architecture in _OSS and native_of(model) and model.size and always:
        return _of_mxfp4(model, used, always, shown)
    share = (always + (model.parameters - always) * used) / model.parameters
    return Active(
        float(share),
        f"a mixture of experts, {shown}: attention is read whole, and {float(used):.1%} of the "
        f"rest, together {float(share):.1%} of the file or more (embeddings are counted as "
        "experts), so real speeds are further below the ceiling than those of dense models",
    )


def _of_mxfp4(model: ModelFacts, used: Fraction, always: int, shown: str) -> Active:
    """Count with experts of 4.25 bits and all else of 16: what the size says is how much."""
    size, parameters = model.size or 0, model.parameters or 0
    narrow = _EXPERT_BITS / 8
    wide = (size - parameters * narrow) / (_WIDE_BITS // 8 - narrow)
    wide = min(Fraction(parameters), max(Fraction(always), wide))
    read = always + (wide - always) / 2  # of two tables of embeddings one is read whole
    bytes_ = read * _WIDE_BITS / 8 + (parameters - wide) * narrow * used
    return Active(
        float(min(Fraction(1), bytes_ / size)),
        f"a mixture of experts, {shown}: experts have 4.25 bits and all else 16, which by the "
        f"size of the file makes {float(wide) / 1e9:.2f} billion weights that are no experts; "
        f"{gib(bytes_)} are read for a token",
    )


def _attention(model: ModelFacts) -> int:
    """Return the weights of the attention, which each token reads; 0: not known."""
    embedding, heads, length = model.embedding_length, model.heads, model.key_length
    if not (embedding and heads and model.layers and model.kv_heads):
        return 0
    key = length or embedding // heads
    value = model.value_length or key
    kept = model.kv_heads * model.layers if len(model.kv_heads) == 1 else model.kv_heads
    found = sum(embedding * (heads + n) * (key + value) for n in kept if n)
    return min(found, (model.parameters or 0) // 2)


class Bandwidth(NamedTuple):
    """Bytes a second at which weights are read, and why it is not known."""

    rate: float | None
    why: str = ""


def bandwidth_of(facts: Facts, kind: str) -> Bandwidth:
    """Return the bandwidth of the memory that models compute in, by the kind of machine."""
    give = 'is not known; give "bandwidth" (bytes a second) in --host-facts'
    if kind == "cpu":
        rate = facts.memory.bandwidth
        return Bandwidth(rate, "" if rate else f"the bandwidth of the main memory {give}")
    rates = [gpu.bandwidth for gpu in facts.gpus or ()]
    if kind == "unified":
        rates = [next((r for r in rates if r), facts.memory.bandwidth)]
    known = [rate for rate in rates if rate is not None]
    if not known or len(known) < len(rates):
        return Bandwidth(None, f"the bandwidth of the GPU memory {give}")
    return Bandwidth(min(known))


def _remark(model: ModelFacts, bits: float | None, kind: Kind | None) -> str:
    label = model.quantization or "no label"
    if model.model_format != "gguf":
        return (
            f"{model.model_format}, for the MLX engine: the figures here are those of GGUF files"
        )
    if bits is None:
        if model.size and model.parameters:
            return (
                f"{gib(model.size)} for {model.parameters:,} parameters cannot both be true; "
                "the figures are not used"
            )
        missing = "its size" if not model.size else "the number of its parameters"
        return f"{missing} is not known, so neither are the bits of a weight"
    parts = [f"8 x {model.size:,} / {model.parameters:,} = {bits:.2f} bits a weight"]
    if native := native_of(model):
        parts.append(f"{label}: {native}")
    elif is_trained(model):
        parts.append("by its name trained for this quantization (QAT)")
    elif is_dynamic(model):
        parts.append("by its name a dynamic quantization: each layer has bits of its own")
    elif kind is None:
        near = nearest(bits)
        parts.append(f"nothing is published for {label!r}; about as wide as {near.label}")
    elif abs(bits / kind.bits - 1) > _APART:
        parts.append(_differing(model, bits, kind))
    else:
        parts.append(f"usual for {label} ({kind.bits:.2f})")
    if model.vision:
        parts.append("the projector for images is in the size and has 16 bits, so the weights "
                     "themselves have fewer")  # fmt: skip
    return "; ".join(parts)


def _differing(model: ModelFacts, bits: float, kind: Kind) -> str:
    more = bits / kind.bits - 1
    if more > 0:
        why = "wider embeddings, as small models with a large vocabulary have, or a dynamic mix"
        why = "a projector, or " + why if model.vision else why
    else:
        why = "narrower layers than the label says, as in large models or a dynamic mix"
    return f"{abs(more):.0%} {'more' if more > 0 else 'less'} than {kind.label} has: {why}"
