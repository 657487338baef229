"""What each quantization would take here, and how fast it could be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.advising.plans import Server, plan
from aegis_llm.bootstrap.advising.versions import cache_types
from aegis_llm.bootstrap.facts import ModelFacts
from aegis_llm.bootstrap.quantizing.published import SHOWN, Kind, kind_of
from aegis_llm.bootstrap.quantizing.results import Offer
from aegis_llm.bootstrap.quantizing.weighing import (
    Active,
    Bandwidth,
    bits_of,
    is_trained,
    native_of,
    nearest,
    size_of,
)

Cache = Literal["f16", "q8_0"]
_DENSE, _EXPERTS = 0.85, 0.6
"""Of the ceiling: llama.cpp on a GB10 (benches/dgx-spark.md) has 0.87 of it with Qwen2.5-Coder-7B
in Q8_0 (29.2 tokens/s), and 0.62 with Qwen3-Coder-30B-A3B in Q8_0 (57.6), counted as here."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a model shall do and where.

    Attributes:
        others: Bytes that the other models of the workload take.
        here: Whether the model is on the server; else its tag is meant.
    """

    model: ModelFacts
    server: Server
    slots: int
    context: int
    others: int
    here: bool
    active: Active
    bandwidth: Bandwidth

    @property
    def held(self) -> str:
        """Return what the file at hand is called."""
        return "what is installed" if self.here else "what the tag holds"

    @property
    def limit(self) -> int:
        """Return the bytes that the model may take with several slots."""
        return max(0, self.server.room.usable - self.others)

    @property
    def alone(self) -> int:
        """Return the bytes that it may take with one slot."""
        return max(0, self.server.room.alone - self.others) if self.others == 0 else self.limit


def offers_of(wish: Wish) -> tuple[Offer, ...]:
    """Return what is installed and what else there may be, from the widest on."""
    model = wish.model
    bits = bits_of(model)
    found: list[Offer] = []
    if bits is not None and model.size:
        found.append(_installed(wish, bits, model.size))
    if is_fixed(model):
        return tuple(found)
    own = kind_of(model.quantization) if found else None
    for label in SHOWN:
        kind = kind_of(label)
        if kind is None or kind is own:
            continue
        size = size_of(model, kind)
        if size is not None and (bits is not None or not model.size):
            found.append(_offer(wish, kind, size))
    return tuple(sorted(found, key=lambda one: (-one.size, one.label)))


def is_fixed(model: ModelFacts) -> bool:
    """Return whether no other quantization is to be had or of use."""
    return (
        bool(native_of(model)) or model.embeds or model.model_format != "gguf" or is_trained(model)
    )


def _installed(wish: Wish, bits: float, size: int) -> Offer:
    kind = kind_of(wish.model.quantization)
    label = wish.model.quantization or f"about {nearest(bits).label}"
    named = Kind(label=label, bits=bits, loss=None if kind is None else kind.loss)
    return _offer(wish, named, size, installed=True)


def _offer(wish: Wish, kind: Kind, size: int, *, installed: bool = False) -> Offer:
    types = cache_types(wish.server.release, wish.model, flash=wish.server.flash)
    f16 = _plan(wish, size, wish.slots, "f16")
    q8_0 = _plan(wish, size, wish.slots, "q8_0") if "q8_0" in types else None
    fits: Cache | None = None
    if _holds(wish, f16):
        fits = "f16"
    elif q8_0 is not None and _holds(wish, q8_0):
        fits = "q8_0"
    smallest: Cache = "f16" if q8_0 is None else "q8_0"
    ceiling, why = _ceiling(wish, size, fits=fits is not None)
    share = wish.active.share
    return Offer(
        label=kind.label,
        bits=round(kind.bits, 4),
        size=size,
        installed=installed,
        loss=None if wish.model.embeds else kind.loss,
        needs_f16=f16.total,
        needs_q8_0=None if q8_0 is None else q8_0.total,
        fits=fits,
        slots=wish.slots if fits else _most(wish, size, smallest),
        active=None if share is None else int(size * share),
        ceiling=ceiling,
        likely=None if ceiling is None else round(ceiling * _reached(wish.model), 1),
        no_ceiling=why,
    )


def _reached(model: ModelFacts) -> float:
    return _EXPERTS if model.experts else _DENSE


def _plan(wish: Wish, size: int, slots: int, kv_type: Cache) -> ModelPlan:
    model = msgspec.structs.replace(wish.model, size=size)
    return plan(model, wish.server, slots, wish.context, kv_type)


def _holds(wish: Wish, one: ModelPlan) -> bool:
    return one.total <= (wish.alone if one.slots == 1 else wish.limit)


def _most(wish: Wish, size: int, kv_type: Cache) -> int:
    """Return the most slots below the wanted ones that fit."""
    low, high = 0, wish.slots - 1
    while low < high:
        middle = (low + high + 1) // 2
        if _holds(wish, _plan(wish, size, middle, kv_type)):
            low = middle
        else:
            high = middle - 1
    return low


def _ceiling(wish: Wish, size: int, *, fits: bool) -> tuple[float | None, str]:
    if wish.model.embeds:
        return None, "an embedding model writes no tokens"
    if wish.bandwidth.rate is None:
        return None, wish.bandwidth.why
    if wish.active.share is None:
        return None, wish.active.how
    if not fits:
        return None, "it does not fit, so a part would be read from slower memory"
    active = max(1.0, size * wish.active.share)
    return round(wish.bandwidth.rate / active, 1), ""


def by_label(offers: Sequence[Offer], label: str) -> Offer | None:
    """Return an offer by its label."""
    kind = kind_of(label)
    return next((one for one in offers if kind_of(one.label) is kind), None)
