"""Which quantization to take. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from aegis_llm.bootstrap.advice import Goal
from aegis_llm.bootstrap.advising.words import counted
from aegis_llm.bootstrap.quantizing.offering import Wish, by_label, is_fixed
from aegis_llm.bootstrap.quantizing.reasons import (
    ALIKE,
    BASE,
    NEAR,
    SAME,
    WIDER,
    against,
    how_to_get,
    speed,
    too_slow,
    why_base,
    why_fewer,
    why_nothing,
    why_wider,
)
from aegis_llm.bootstrap.quantizing.results import Offer, Recommended
from aegis_llm.bootstrap.quantizing.weighing import is_trained, native_of

PLENTY: dict[Goal, float] = {"throughput": 50.0, "latency": 100.0}
"""Tokens a second that must be left for more bits than those of Q4_K_M, by goal."""
_NARROWER = ("IQ4_XS", "Q3_K_M")


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
    plenty = PLENTY.get(goal, 0.0) if least is None else least
    for label in WIDER if goal != "memory" else ():
        offer = _of(offers, label)
        if offer is not None and offer.fits and _may_be_wider(offers, offer, plenty, least):
            return _taken(wish, offers, offer, why_wider(wish, offer))
    for label in (BASE, "IQ4_XS"):
        offer = _of(offers, label)
        if offer is not None and offer.fits and _is_fast(offer, least):
            return _taken(wish, offers, offer, why_base(wish, offers, offer, goal, plenty))
    if least is not None and any(one.fits for one in offers):
        return Recommended(label=None, reason=too_slow(offers, least))
    for label in (BASE, *_NARROWER):
        offer = _of(offers, label)
        if offer is not None and offer.slots:
            return _taken(wish, offers, offer, why_fewer(wish, offer))
    return Recommended(label=None, reason=why_nothing(wish, offers))


def _may_be_wider(
    offers: Sequence[Offer], offer: Offer, plenty: float, least: float | None
) -> bool:
    """Return whether it is fast enough; where that is not known, no slower than what is there."""
    if offer.likely is not None:
        return offer.likely >= plenty
    own = next((one for one in offers if one.installed), None)
    return least is None and own is not None and own.size >= offer.size * SAME


def _is_fast(offer: Offer, least: float | None) -> bool:
    return least is None or offer.ceiling is None or (offer.likely or 0.0) >= least


def _of(offers: Sequence[Offer], label: str) -> Offer | None:
    """Return an offer; what is installed stands for one of its width that is no worse."""
    offer = by_label(offers, label)
    own = next((one for one in offers if one.installed), None)
    if offer is None or own is None or own is offer:
        return offer
    if own.size > offer.size * NEAR or own.size < offer.size / NEAR or not own.fits:
        return offer
    if own.loss is None:
        return own if own.size >= offer.size * SAME else offer
    better = offer.loss is not None and own.loss.divergence <= offer.loss.divergence * ALIKE
    return own if better else offer


def _taken(wish: Wish, offers: Sequence[Offer], offer: Offer, reason: str) -> Recommended:
    keep = offer.installed
    here = next((one for one in offers if one.installed), None)
    if keep:
        reason = f"{wish.held}: {reason}"
    elif here is not None:
        reason = f"{reason} {against(wish, here, offer)}".strip()
    return Recommended(
        label=offer.label,
        kv_type=offer.fits or ("q8_0" if offer.needs_q8_0 is not None else "f16"),
        slots=offer.slots,
        keep=keep,
        reason=reason,
        how="" if keep else how_to_get(wish.model, offer.label),
    )


def _fixed(wish: Wish, offers: Sequence[Offer], least: float | None) -> Recommended:
    model, own = wish.model, next(iter(offers), None)
    label = model.quantization
    native = native_of(model)
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
        reason = why_nothing(wish, offers)
    if not _is_fast(own, least):
        reason += f". It may write {speed(own)} tokens/s, less than the {least:g} wanted"
    return Recommended(
        label=None if own.fits is None and not own.slots else own.label,
        kv_type=own.fits,
        slots=own.slots,
        keep=own.fits is not None or own.slots > 0,
        reason=reason,
    )
