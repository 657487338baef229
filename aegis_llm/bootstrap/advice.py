"""What is wanted of a server, and what is advised: values with their reasons. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from aegis_llm.bootstrap.facts import Unknown

Goal = Literal["throughput", "latency", "memory"]
Place = Literal["gpu", "host"]


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the server has to do.

    Attributes:
        concurrent: Requests at the same time, in a busy moment.
        prompt_tokens: Of a long prompt (the 95th percentile).
        output_tokens: Of the longest answer that is wanted.
        models: Names; the first is the one that most requests ask. Empty: those on the server.
        goal: What to weigh when not everything can be had.
        prefix_tokens: Tokens at the start of a prompt that others share.
        prefixes: Different such prefixes in use at the same time.
        keep_alive: How long models stay loaded; None: advised.
        source: `given`, or where it was learned.
    """

    concurrent: int = 4
    prompt_tokens: int = 3000
    output_tokens: int = 500
    models: tuple[str, ...] = ()
    goal: Goal = "throughput"
    prefix_tokens: int = 0
    prefixes: int = 1
    keep_alive: str | None = None
    source: str = "given"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the server.

    Attributes:
        name: The environment variable.
        value: What to set it to; None: leave it unset.
        reason: One sentence.
        arithmetic: The computation behind the value; empty where there is none.
        default: What this version of Ollama does when it is unset.
        study: What the study of 2025 sets; None: it does not speak of it.
        study_differs: Why the value here is another one; empty when it is not.
    """

    name: str
    value: str | None
    reason: str
    arithmetic: str = ""
    default: str = ""
    study: str | None = None
    study_differs: str = ""


class ModelPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What one model gets, in bytes and tokens.

    Attributes:
        slots: Requests that it answers at once.
        context: Tokens of one slot.
        per_token: Bytes of KV cache that one token of one slot takes; without windows and states.
        why_slots: What limited the slots.
        fits: Whether it is held whole where it computes.
    """

    name: str
    slots: int
    context: int
    kv_type: str
    per_token: float
    weights: int
    kv: int
    compute: int
    prompt_cache: int = 0
    fits: bool = True
    why_slots: str = ""

    @property
    def total(self) -> int:
        """Return the bytes it takes where it computes."""
        return self.weights + self.kv + self.compute


class BudgetLine(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the memory. `model` is empty for what belongs to none."""

    what: str
    bytes: int
    place: Place
    model: str = ""
    arithmetic: str = ""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the memory goes to.

    Attributes:
        place: Where models compute.
        total: All there is in that place; None: not known.
        usable: What models may take of it.
        used: What the advice takes of it.
    """

    place: Place
    total: int | None
    usable: int
    used: int
    lines: tuple[BudgetLine, ...] = ()


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """Settings with their reasons; fields are added, never renamed, while `v` stays 1.

    Attributes:
        version: Ollama's version that it is made for.
        fits: Whether everything that was asked for fits.
        warnings: What a person should know before using it.
        assumed: What was taken for granted because it is unknown.
        options: Request or Modelfile options by model, where the environment cannot say it.
    """

    v: Literal[1] = 1
    workload: Workload
    version: str
    settings: tuple[Setting, ...]
    models: tuple[ModelPlan, ...]
    budget: Budget
    fits: bool
    warnings: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    unknown: tuple[Unknown, ...] = ()
    options: dict[str, dict[str, int]] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables to set, without those to leave unset."""
        return {one.name: one.value for one in self.settings if one.value is not None}
