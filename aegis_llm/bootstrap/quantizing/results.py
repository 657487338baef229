"""What `quantizations` returns. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from aegis_llm.bootstrap.facts import Unknown
from aegis_llm.bootstrap.quantizing.published import SOURCE, Loss


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is.

    Attributes:
        label: As Ollama says it; None: it does not.
        size: Bytes of the file, with a projector; None: not known.
        bits: For each weight: 8 x size / parameters; None: size or parameters are not known.
        usual: Bits that this label has for Llama-3.1-8B; None: the label is not in the table.
        remark: What label and bits say together.
    """

    label: str | None
    size: int | None
    parameters: int | None
    bits: float | None
    usual: float | None
    remark: str


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What one quantization of this model would be here.

    Attributes:
        bits: For each weight.
        size: Bytes of the weights; those of the file for the installed one, else an estimate.
        needs_f16: Bytes with the caches of all wanted slots in f16, and compute buffers.
        needs_q8_0: The same with caches in q8_0; None: this server cannot have them.
        fits: The finest cache type with which it is held whole; None: with none.
        slots: Wanted slots that fit with that, or with the smallest cache; 0: not one.
        active: Bytes of weights that one token reads; None: not known.
        ceiling: Tokens a second of one answer, at most; None: see why.
        likely: What llama.cpp makes of such a ceiling: 0.85 of it where a token reads all
            weights, 0.6 with a mixture of experts.
        no_ceiling: Why there is none.
    """

    label: str
    bits: float
    size: int
    installed: bool
    loss: Loss | None
    needs_f16: int
    needs_q8_0: int | None
    fits: Literal["f16", "q8_0"] | None
    slots: int
    active: int | None
    ceiling: float | None
    likely: float | None
    no_ceiling: str = ""


class Otherwise(msgspec.Struct, frozen=True, kw_only=True):
    """When to decide otherwise."""

    when: str
    take: str
    why: str


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """What to take.

    Attributes:
        label: None: nothing is recommended, see the reason.
        kv_type: Cache type to take with it.
        slots: That fit with it.
        keep: Whether it is what is installed.
        reason: In figures.
        how: What to do for it; empty: nothing.
    """

    label: str | None
    kv_type: Literal["f16", "q8_0"] | None = None
    slots: int = 0
    keep: bool = False
    reason: str
    how: str = ""


class Quantizations(msgspec.Struct, frozen=True, kw_only=True):
    """Fields are added, never renamed, while `v` stays 1.

    Attributes:
        slots: That are wanted, or the one that the model has.
        context: Tokens of each.
        usable: Bytes of memory that the model may take.
        room: How `usable` came about.
        bandwidth: Bytes a second that weights are read at; None: not known.
        active: How the bytes that a token reads were counted.
        embeds: Whether it is an embedding model.
        source: Of the losses.
    """

    v: Literal[1] = 1
    model: str
    installed: Installed
    slots: int
    context: int
    usable: int
    room: str
    bandwidth: float | None
    active: str
    offers: tuple[Offer, ...]
    recommended: Recommended
    embeds: bool = False
    otherwise: tuple[Otherwise, ...]
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    source: str = SOURCE
