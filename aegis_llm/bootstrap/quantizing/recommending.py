"""Which quantization to take, and the reason in figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aegis_llm.bootstrap.advice import Goal
from aegis_llm.bootstrap.advising.words import counted, gib
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.quantizing.offering import Wish, by_label, is_fixed
from aegis_llm.bootstrap.quantizing.published import NATIVE, kind_of
from aegis_llm.bootstrap.quantizing.results import Offer, Recommended
from aegis_llm.bootstrap.quantizing.weighing import is_dynamic, is_trained

BASE = "Q4_K_M"
REACHED = 0.85
"""Of the ceiling that one answer reaches: llama.cpp with a 7B Q8_0 on a GB10 has 0.87 of it."""
PLENTY: dict[Goal, float] = {"throughput": 50.0, "latency": 100.0}
"""Tokens a second that must be left for more bits than those of Q4_K_M, by goal."""
_WIDER = ("Q8_0", "Q6_K", "Q5_K_M")
_NARROWER = ("IQ4_XS", "Q3_K_M")
_ALIKE = 1.2
_WIDE = ("F16", "BF16", "F32")
_MADE = {"Q8_0": "q8_0", "Q4_K_M": "q4_K_M"}
"""Of what Ollama makes itself from a wide file; the third is q4_K_S."""


def recommended_of(
    wish: Wish, offers: Sequence[Offer], goal: Goal, least: float | None
) -> Recommended:
    """Return the largest quantization up to Q8_0 that fits and is fast enough.

    A cache of q8_0 comes before narrower weights, because it changes answers less. Without a
    wish for speed, more bits than Q4_K_M have must leave `PLENTY`.
    """
    model = wish.model
    if is_fixed(model):
        return _fixed(wish, offers, least)
    if not offers:
        return Recommended(
            label=None, reason="without size and parameters of the model nothing can be computed"
        )
    for label in _WIDER if goal != "memory" else ():
        offer = _of(offers, label)
        if offer is not None and offer.fits and likely(offer) >= _speed_wanted(goal, least):
            return _taken(wish, offers, offer, _why_wider(wish, offers, offer))
    for label in (BASE, "IQ4_XS"):
        offer = _of(offers, label)
        if offer is not None and offer.fits and _is_fast(offer, least):
            return _taken(wish, offers, offer, _why_base(wish, offers, offer, goal, least))
    if least is not None and any(one.fits for one in offers):
        return _too_slow(offers, least)
    for label in (BASE, *_NARROWER):
        offer = _of(offers, label)
        if offer is not None and offer.slots:
            return _taken(wish, offers, offer, _why_fewer(wish, offer))
    return Recommended(label=None, reason=_why_nothing(wish, offers))


def likely(offer: Offer) -> float:
    """Return the tokens a second that one answer may really get; 0: not known."""
    return REACHED * (offer.ceiling or 0.0)


def _speed(offer: Offer) -> str:
    speed = likely(offer)
    return f"{speed:.0f}" if speed >= 10 else f"{speed:.1f}"


def _speed_wanted(goal: Goal, least: float | None) -> float:
    return PLENTY.get(goal, 0.0) if least is None else least


def _is_fast(offer: Offer, least: float | None) -> bool:
    return least is None or offer.ceiling is None or likely(offer) >= least


def _of(offers: Sequence[Offer], label: str) -> Offer | None:
    """Return an offer; what is installed stands for one of its width that is no worse."""
    offer = by_label(offers, label)
    own = next((one for one in offers if one.installed), None)
    if offer is None or own is None or own is offer:
        return offer
    if own.size > offer.size * _ALIKE or own.size < offer.size / _ALIKE or not own.fits:
        return offer
    if own.loss is None:
        return own if own.size >= offer.size * 0.97 else offer
    better = offer.loss is not None and own.loss.divergence <= offer.loss.divergence * _ALIKE
    return own if better else offer


def _taken(wish: Wish, offers: Sequence[Offer], offer: Offer, reason: str) -> Recommended:
    keep = offer.installed
    here = next((one for one in offers if one.installed), None)
    if keep:
        reason = f"{wish.held}: {reason}"
    elif here is not None:
        reason = f"{reason} {_against(wish, here, offer)}".strip()
    return Recommended(
        label=offer.label,
        kv_type=offer.fits or ("q8_0" if offer.needs_q8_0 is not None else "f16"),
        slots=offer.slots,
        keep=keep,
        reason=reason,
        how="" if keep else how_to_get(wish.model, offer.label),
    )


def _against(wish: Wish, here: Offer, offer: Offer) -> str:
    """Say what is wrong with what is installed, where figures tell."""
    if here.fits is None:
        return f"{here.label}, {wish.held}, does not fit with {_smallest(here)}."
    if here.loss and offer.loss and here.size <= offer.size * _ALIKE:
        ratio = here.loss.divergence / offer.loss.divergence
        if ratio > _ALIKE:
            return (
                f"{here.label}, {wish.held}, has {ratio:.1f} times its divergence "
                f"({here.loss.divergence:.4f} against {offer.loss.divergence:.4f})."
            )
    return ""


def how_to_get(model: ModelFacts, label: str) -> str:
    """Return how to get another quantization of a model."""
    name = model.name.rpartition(":")[0] or model.name
    if (model.quantization or "").upper() in _WIDE and label in _MADE:
        return (
            f"from this file: echo FROM {model.name} > Modelfile; "
            f"ollama create --quantize {_MADE[label]} {name}:{_MADE[label].lower()}"
        )
    place = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    if "/" in place or label.startswith("IQ"):
        place = place if "/" in place else f"{place} at hf.co"
        return f"pull the {label} file of {place}; never quantize one that already is"
    return (
        f"see https://ollama.com/library/{place}/tags for one that ends in {label[0].lower()}{label[1:]}, and "
        "pull it; where there is none, hf.co has; never quantize a file that already is"
    )


def _fixed(wish: Wish, offers: Sequence[Offer], least: float | None) -> Recommended:
    model, own = wish.model, next(iter(offers), None)
    label = model.quantization
    native = NATIVE.get((label or "").upper())
    if model.embeds:
        reason = (
            "an embedding model: nothing is published of what quantization does to its vectors, "
            "it is small, and another file means to embed every document anew; keep it"
        )
    elif native:
        reason = f"{native}; keep it, and never quantize it anew"
    elif is_trained(model):
        reason = "it was trained for this quantization; no other of the same size is better"
    else:
        reason = "a model for the MLX engine: the figures of GGUF do not hold for it; keep it"
    if own is None:
        return Recommended(label=label, keep=True, slots=0, reason=reason)
    if own.fits is None and own.slots:
        reason += f". It fits with {counted(own.slots, 'slot')} of {wish.slots}"
    elif own.fits is None:
        reason = f"{_why_nothing(wish, offers)} ({reason})"
    if not _is_fast(own, least):
        reason += f". It may write {_speed(own)} tokens/s, less than the {least:g} wanted"
    return Recommended(
        label=None if own.fits is None and not own.slots else own.label,
        kv_type=own.fits,
        slots=own.slots,
        keep=own.fits is not None or own.slots > 0,
        reason=reason,
    )


def _why_wider(wish: Wish, offers: Sequence[Offer], offer: Offer) -> str:
    parts = list(_fitting(wish, offer))
    if offer.ceiling is not None:
        parts.append(f"may write {_speed(offer)} tokens/s ({REACHED:.0%} of its ceiling)")
    return f"{offer.label} {', '.join(parts)}. {_losses(offers, offer)}".strip()


def _why_base(
    wish: Wish, offers: Sequence[Offer], offer: Offer, goal: Goal, least: float | None
) -> str:
    parts = [f"{offer.label} {', '.join(_fitting(wish, offer))}."]
    wider = next((w for label in reversed(_WIDER) if (w := by_label(offers, label))), None)
    if goal == "memory":
        parts.append("The goal is memory, so nothing larger is taken.")
    elif wider is not None and wider.fits is None:
        parts.append(f"{wider.label} does not fit with {_smallest(wider)}.")
    elif wider is not None and wider.ceiling is None:
        parts.append(f"What more bits cost in speed is not known: {wider.no_ceiling}.")
    elif wider is not None:
        parts.append(_slower(offers, offer, wider, _speed_wanted(goal, least)))
    if wider is not None and wider is not offer and offer.label != "IQ4_XS":
        parts.append(_losses(offers, offer))
    if offer.label == "IQ4_XS":
        parts.append(_narrower_than_base(offers))
    return " ".join(part for part in parts if part)


def _slower(offers: Sequence[Offer], offer: Offer, wider: Offer, wanted: float) -> str:
    largest = by_label(offers, "Q8_0") or wider
    said = (
        f"Weights are read for each token, so speed falls as they grow: {wider.label} may write "
        f"{_speed(wider)} tokens/s"
    )
    if largest.ceiling is not None and largest is not wider:
        said += f" and {largest.label} {_speed(largest)}"
    if offer.ceiling is not None:
        said += f", {offer.label} {_speed(offer)}"
    return f"{said}; more bits are taken where {wanted:g} are left."


def _losses(offers: Sequence[Offer], offer: Offer) -> str:
    """Compare what is given up with what f16 is."""
    if offer.loss is None:
        return "Nothing is published of what it does to answers."
    return (
        f"Its loss with Llama-3-8B: perplexity {offer.loss.increase:+.1%}, mean KL divergence "
        f"{offer.loss.divergence:.4f}."
    )


def _narrower_than_base(offers: Sequence[Offer]) -> str:
    base, narrow = by_label(offers, BASE), kind_of("IQ4_XS")
    if base is None or base.loss is None or narrow is None or narrow.loss is None:
        return ""
    return (
        f"{BASE} does not fit with {_smallest(base)}; IQ4_XS is 9 % smaller at a mean KL "
        f"divergence of {narrow.loss.divergence:.4f} against {base.loss.divergence:.4f}."
    )


def _fitting(wish: Wish, offer: Offer) -> Iterator[str]:
    takes = offer.needs_q8_0 if offer.fits == "q8_0" else offer.needs_f16
    limit = wish.alone if wish.slots == 1 else wish.limit
    yield (
        f"takes {gib(takes or 0)} of {gib(limit)} with {counted(wish.slots, 'slot')} of "
        f"{wish.context:,} tokens" + (" in q8_0" if offer.fits == "q8_0" else "")
    )


def _smallest(offer: Offer) -> str:
    return gib(offer.needs_f16 if offer.needs_q8_0 is None else offer.needs_q8_0)


def _why_fewer(wish: Wish, offer: Offer) -> str:
    said = (
        f"{counted(wish.slots, 'slot')} of {wish.context:,} tokens do not fit with any "
        f"quantization from IQ4_XS on; {offer.label} does with {offer.slots}."
    )
    if offer.label not in (BASE, "IQ4_XS") and offer.loss is not None:
        said += (
            f" It changes answers clearly (mean KL divergence {offer.loss.divergence:.2f}); a "
            f"smaller model in {BASE} is worth a try."
        )
    elif offer.loss is not None:
        said += " To wait for a slot is better than narrower weights."
    return said


def _too_slow(offers: Sequence[Offer], least: float) -> Recommended:
    base = by_label(offers, BASE)
    fast = f"{BASE} may write {_speed(base)} tokens/s; " if base is not None else ""
    return Recommended(
        label=None,
        reason=f"{fast}{least:g} tokens/s need a smaller model, or a mixture of experts, here: "
        "below four bits answers change more than speed does",
    )


def _why_nothing(wish: Wish, offers: Sequence[Offer]) -> str:
    if not wish.limit:
        return "no memory is known to be there for it"
    small = min(offers, key=lambda one: one.size) if offers else None
    takes = "" if small is None else f"; {small.label} alone has {gib(small.size)}"
    return f"not one slot fits in {gib(wish.alone)}{takes}: a smaller model is needed"


def remarks_on(model: ModelFacts) -> Iterator[str]:
    """Yield how far the published losses hold for a model."""
    if model.embeds:
        return
    if model.experts:
        yield "the losses were measured with a dense model; for mixtures of experts none are"
    billions = (model.parameters or 0) / 1e9
    if billions >= 30:
        yield ("larger models lose less: Llama-2-70B in Q4_K_M +1.2 % perplexity, in Q2_K "
               "+8.8 % (llama.cpp, tools/perplexity/README.md)")  # fmt: skip
    elif 0 < billions < 6:
        yield "the losses were measured with 8 billion parameters; expect more from fewer"
    if is_dynamic(model):
        yield "of a dynamic quantization the losses are its maker's to publish"
    yield ("models trained on more tokens lose more: Q4_K_M raises the perplexity of Llama-2-7B "
           "by 1.4 %, of Llama-3-8B by 2.8 % (llama.cpp#6936)")  # fmt: skip
