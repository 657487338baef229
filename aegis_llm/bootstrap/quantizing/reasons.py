"""The reasons of a recommendation, in figures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aegis_llm.bootstrap.advice import Goal
from aegis_llm.bootstrap.advising.words import counted, gib
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.quantizing.offering import Wish, by_label
from aegis_llm.bootstrap.quantizing.published import kind_of
from aegis_llm.bootstrap.quantizing.results import Offer
from aegis_llm.bootstrap.quantizing.weighing import is_dynamic, native_of

BASE = "Q4_K_M"
WIDER = ("Q8_0", "Q6_K", "Q5_K_M")
SAME = 0.97
"""A file of at least so much of another's size has about its bits."""
NEAR = 1.08
"""Files that differ by less in size may stand for each other."""
ALIKE = 1.2
"""Divergences that differ by less are taken as the same."""
_WIDE = ("F16", "BF16", "F32")
_MADE = {"Q8_0": "q8_0", "Q4_K_M": "q4_K_M"}
"""Of what Ollama makes itself from a wide file; the third is q4_K_S."""


def against(wish: Wish, here: Offer, offer: Offer) -> str:
    """Say what is wrong with what is installed, where figures tell."""
    if here.fits is None:
        if offer.label == "IQ4_XS" and here.label == BASE:
            return ""  # it is the reason already
        return f"{here.label}, {wish.held}, does not fit with {_smallest(here)}."
    if here.loss and offer.loss and here.size <= offer.size * NEAR:
        ratio = here.loss.divergence / offer.loss.divergence
        if ratio > ALIKE:
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
        f"see https://ollama.com/library/{place}/tags for one that ends in "
        f"{label[0].lower()}{label[1:]}, and pull it; where there is none, hf.co has; never "
        "quantize a file that already is"
    )


def why_wider(wish: Wish, offer: Offer) -> str:
    """Say why more bits than those of Q4_K_M are taken."""
    parts = list(_fitting(wish, offer))
    if offer.ceiling is not None:
        parts.append(
            f"may write {speed(offer)} tokens/s of {offer.ceiling:g} that the memory allows"
        )
    else:
        parts.append(f"is no slower than what is there; how fast is not known: {offer.no_ceiling}")
    return f"{offer.label} {', '.join(parts)}. {_losses(offer)}".strip()


def why_base(wish: Wish, offers: Sequence[Offer], offer: Offer, goal: Goal, plenty: float) -> str:
    """Say why Q4_K_M, or a narrower one, is taken and no wider one."""
    parts = [f"{offer.label} {', '.join(_fitting(wish, offer))}."]
    if offer.label == "IQ4_XS":
        return f"{parts[0]} {_narrower_than_base(offers)}".strip()
    wider = next((w for label in reversed(WIDER) if (w := by_label(offers, label))), None)
    if goal == "memory":
        parts.append("The goal is memory, so nothing larger is taken.")
    elif wider is not None and wider.fits is None:
        parts.append(f"{wider.label} does not fit with {_smallest(wider)}.")
    elif wider is not None and wider.ceiling is None:
        parts.append(f"What more bits cost in speed is not known: {wider.no_ceiling}.")
    elif wider is not None:
        parts.append(_slower(offers, offer, wider, plenty))
    parts.append(_losses(offer))
    return " ".join(parts)


def _slower(offers: Sequence[Offer], offer: Offer, wider: Offer, wanted: float) -> str:
    largest = by_label(offers, "Q8_0") or wider
    said = (
        f"Weights are read for each token, so speed falls as they grow: {wider.label} may write "
        f"{speed(wider)} tokens/s"
    )
    if largest.ceiling is not None and largest is not wider:
        said += f" and {largest.label} {speed(largest)}"
    if offer.ceiling is not None:
        said += f", {offer.label} {speed(offer)}"
    return f"{said}; more bits are taken where {wanted:g} are left."


def _losses(offer: Offer) -> str:
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
    why = f"does not fit with {_smallest(base)}"
    if base.fits is not None:
        why = f"may write {speed(base)} tokens/s only"
    return (
        f"{BASE} {why}; IQ4_XS is 9 % smaller at a mean KL "
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


def why_fewer(wish: Wish, offer: Offer) -> str:
    """Say that it fits with fewer slots only."""
    said = (
        f"{counted(wish.slots, 'slot')} of {wish.context:,} tokens do not fit with "
        f"IQ4_XS or wider; {offer.label} does with {offer.slots}."
    )
    if offer.label not in (BASE, "IQ4_XS") and offer.loss is not None:
        said += (
            f" It changes answers clearly (mean KL divergence {offer.loss.divergence:.2f}); a "
            f"smaller model in {BASE} is worth a try."
        )
    elif offer.loss is not None:
        said += " To wait for a slot is better than narrower weights."
    return said


def too_slow(offers: Sequence[Offer], least: float) -> str:
    """Say that the wanted speed is not to be had."""
    base = by_label(offers, BASE)
    fast = f"{BASE} may write {speed(base)} tokens/s; " if base is not None else ""
    return (
        f"{fast}{least:g} tokens/s need a smaller model, or a mixture of experts, here: "
        "below four bits answers change more than speed does"
    )


def why_nothing(wish: Wish, offers: Sequence[Offer]) -> str:
    """Say that nothing fits."""
    if not wish.limit:
        return "no memory is known to be there for it"
    small = min(offers, key=lambda one: one.size) if offers else None
    takes = "" if small is None else f"; {small.label} alone has {gib(small.size)}"
    return f"not one slot fits in {gib(wish.alone)}{takes}: a smaller model is needed"


def remarks_on(model: ModelFacts) -> Iterator[str]:
    """Yield how far the published losses hold for a model."""
    if model.embeds or native_of(model):
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


def speed(offer: Offer) -> str:
    """Return the tokens a second that one answer may get, as a person reads them."""
    rate = offer.likely or 0.0
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
