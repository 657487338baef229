"""Loaded models: which request needs a reload, when a model expires. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aegis_llm.testing.models import SimulatedModel
from aegis_llm.testing.slots import Slots

FOREVER_S = float(2**63) / 1e9
"""The longest time that Go knows; Ollama takes it for "for ever"."""


@dataclass(frozen=True, kw_only=True)
class RunnerOptions:
    """The options that a model is loaded with; a difference forces a reload."""

    num_ctx: int
    num_batch: int
    num_gpu: int
    main_gpu: int | None
    use_mmap: bool | None
    num_thread: int
    draft_num_predict: int
    shift: bool

    @classmethod
    def of(
        cls,
        model: SimulatedModel,
        requested: Mapping[str, Any],
        *,
        default_context: int,
        parallel: int,
        shift: bool | None,
    ) -> RunnerOptions:
        """Return what a request asks for: its options over the model's over the defaults."""
        options = {**model.options, **requested}
        context = min(options.get("num_ctx") or default_context, model.context_length)
        return cls(
            num_ctx=context,
            num_batch=options.get("num_batch") or _automatic_batch(context * parallel),
            num_gpu=options.get("num_gpu", -1),
            main_gpu=options.get("main_gpu"),
            use_mmap=options.get("use_mmap"),
            num_thread=options.get("num_thread", 0),
            draft_num_predict=options.get("draft_num_predict", 0),
            shift=shift is not False,
        )

    def satisfies(self, wanted: RunnerOptions) -> bool:
        """Return whether a model loaded with these serves `wanted` without a reload."""
        return self == wanted or (wanted.num_gpu < 0 and self == _with_gpu(wanted, self.num_gpu))


def _with_gpu(options: RunnerOptions, layers: int) -> RunnerOptions:
    fields = {name: getattr(options, name) for name in options.__dataclass_fields__}
    return RunnerOptions(**{**fields, "num_gpu": layers})


def _automatic_batch(context: int) -> int:
    if context <= 4096:
        return 512
    return 1024 if context <= 32_768 else 2048


@dataclass
class Runner:
    """One loaded model.

    Attributes:
        uses: Requests that hold it; it does not expire while there are any.
        keep_alive: Seconds it stays after the last one.
        expires_at: Monotonic time of its end.
        waiting: Tickets of the requests that wait for a slot, first come first served.
        prefill_free_at: Monotonic time at which the prompts taken on so far are read.
    """

    name: str
    model: SimulatedModel
    options: RunnerOptions
    slots: Slots
    keep_alive: float
    expires_at: float
    uses: int = 0
    prefill_free_at: float = 0.0
    waiting: list[object] = field(default_factory=list)

    def use(self, keep_alive: float | None) -> None:
        """Take hold of the model; a given `keep_alive` replaces the one it had."""
        self.uses += 1
        if keep_alive is not None:
            self.keep_alive = keep_alive

    def let_go(self, now: float) -> None:
        """End one use; with the last one the time to live starts again."""
        self.uses -= 1
        if self.uses == 0:
            self.expires_at = now + min(self.keep_alive, FOREVER_S)

    def expired(self, now: float) -> bool:
        """Return whether the model is to be unloaded."""
        return self.uses == 0 and now >= self.expires_at
