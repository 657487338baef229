"""Loading and slots between the threads of the server: queues, waiting, cancelling."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aegis_llm.testing.clock import Clock
from aegis_llm.testing.models import SimulatedModel
from aegis_llm.testing.requests import RefusedError
from aegis_llm.testing.runners import Runner, RunnerOptions
from aegis_llm.testing.slots import Slots, Timing

Watch = Callable[[], None]
"""Raises when the request is over: the client went away or the server stops."""

_TICK_S = 0.02
_BUSY = "server busy, please try again.  maximum pending requests exceeded"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Settings of the server, named as Ollama's environment variables.

    Attributes:
        num_parallel: Slots of a model (embedding models have one).
        max_queue: Requests that may wait for a model to be loaded.
        max_loaded_models: Models in memory at once.
        keep_alive: Seconds a model stays loaded after its last use.
        context_length: `num_ctx` of requests that do not say one.
        prompt_cache_tokens: Tokens that the cache of prompts in host memory holds for a model.
        kv_cache_type: Type of the KV cache; it changes the sizes in `/api/ps`.
        load_error: Text of the error that every load ends with; empty: loads succeed.
    """

    num_parallel: int = 1
    max_queue: int = 512
    max_loaded_models: int = 3
    keep_alive: float = 300.0
    context_length: int = 4096
    prompt_cache_tokens: int = 1 << 20
    kv_cache_type: str = "f16"
    load_error: str = ""


@dataclass(frozen=True)
class Turn:
    """A slot held by a request: what it need not read again, and how long reading takes."""

    slot: int
    reused: int
    prefill: float


class Engine:
    """The part of the server that owns models and slots. Safe between threads."""

    def __init__(self, limits: Limits, timing: Timing, clock: Clock) -> None:
        self.limits = limits
        self.timing = timing
        self.clock = clock
        self.loads = 0
        self.prefilled = 0
        self._changed = threading.Condition()
        self._loaded: dict[str, Runner] = {}
        self._pending: list[object] = []

    def running(self) -> list[Runner]:
        """Return the loaded models, the one that stays longest first."""
        with self._changed:
            self._expire()
            return sorted(self._loaded.values(), key=lambda one: one.expires_at, reverse=True)

    def unload(self, name: str) -> None:
        """Drop the model as soon as nobody uses it."""
        with self._changed:
            runner = self._loaded.get(name)
            if runner is not None:
                runner.keep_alive = 0.0
                runner.expires_at = self.clock.monotonic()
                self._expire()
            self._changed.notify_all()

    def forget(self) -> None:
        """Drop all models at once, as a restart of the server does."""
        with self._changed:
            self._loaded.clear()
            self._changed.notify_all()

    def open(
        self,
        name: str,
        model: SimulatedModel,
        options: Mapping[str, Any],
        watch: Watch,
        *,
        keep_alive: float | None = None,
        shift: bool | None = None,
    ) -> Runner:
        """Return the model loaded for these options; `close` ends the use.

        Raises:
            RefusedError: 503 when too many requests wait for loading; 500 when loads fail.
        """
        parallel = 1 if model.can("embedding") else self.limits.num_parallel
        wanted = RunnerOptions.of(
            model,
            options,
            default_context=self.limits.context_length,
            parallel=parallel,
            shift=shift,
        )
        ticket = object()
        with self._changed:
            if runner := self._ready(name, wanted, keep_alive):
                return runner
            if len(self._pending) > self.limits.max_queue or (
                self._pending and not self.limits.max_queue
            ):
                raise RefusedError(503, _BUSY)
            self._pending.append(ticket)
        try:
            with self._changed:
                self._wait(lambda: self._pending[0] is ticket, watch)
                self._wait(lambda: self._room(name, wanted), watch)
                if runner := self._ready(name, wanted, keep_alive):
                    return runner
            self.pause(self.timing.load, watch)
            if self.limits.load_error:
                raise RefusedError(500, self.limits.load_error)
            with self._changed:
                stay = self.limits.keep_alive if keep_alive is None else keep_alive
                now = self.clock.monotonic()
                slots = Slots(parallel, self.limits.prompt_cache_tokens)
                runner = Runner(name, model, wanted, slots, stay, now + stay, uses=1)
                self._loaded[name] = runner
                self.loads += 1
                return runner
        finally:
            with self._changed:
                self._pending.remove(ticket)
                self._changed.notify_all()

    def close(self, runner: Runner) -> None:
        """End the use of a model."""
        with self._changed:
            runner.let_go(self.clock.monotonic())
            self._expire()
            self._changed.notify_all()

    def enter(self, runner: Runner, prompt: Sequence[str], watch: Watch) -> Turn:
        """Wait for a slot, first come first served, and occupy it."""
        ticket = object()
        with self._changed:
            runner.waiting.append(ticket)
            try:
                self._wait(
                    lambda: runner.waiting[0] is ticket and runner.slots.idle > 0,
                    watch,
                )
                now = self.clock.monotonic()
                slot, reused = runner.slots.take(prompt, now)
                self.prefilled += len(prompt) - reused
                needed = self.timing.prefill_time(len(prompt) - reused)
                runner.prefill_free_at = max(now, runner.prefill_free_at) + needed
                return Turn(slot, reused, runner.prefill_free_at - now)
            finally:
                runner.waiting.remove(ticket)
                self._changed.notify_all()

    def leave(self, runner: Runner, turn: Turn, answer: Sequence[str]) -> None:
        """Free the slot."""
        with self._changed:
            runner.slots.give_back(turn.slot, answer, self.clock.monotonic())
            self._changed.notify_all()

    def pause(self, seconds: float, watch: Watch) -> None:
        """Let `seconds` pass; `watch` is asked in between."""
        end = self.clock.monotonic() + seconds
        while (left := end - self.clock.monotonic()) > 0:
            self.clock.sleep(min(left, _TICK_S))
            watch()

    @staticmethod
    def hold(event: threading.Event, watch: Watch) -> None:
        """Wait until `event` is set; `watch` is asked in between."""
        while not event.wait(_TICK_S):
            watch()

    def _wait(self, ready: Callable[[], bool], watch: Watch) -> None:
        while not ready():
            self._changed.wait(_TICK_S)
            watch()

    def _expire(self) -> None:
        now = self.clock.monotonic()
        for name in [name for name, one in self._loaded.items() if one.expired(now)]:
            del self._loaded[name]

    def _ready(self, name: str, wanted: RunnerOptions, stay: float | None) -> Runner | None:
        self._expire()
        runner = self._loaded.get(name)
        if runner is None or not runner.options.satisfies(wanted):
            return None
        runner.use(stay)
        return runner

    def _room(self, name: str, wanted: RunnerOptions) -> bool:
        """Make room for a load; False while the model in the way is in use."""
        self._expire()
        runner = self._loaded.get(name)
        if runner is not None:
            if runner.options.satisfies(wanted):
                return True
            if runner.uses:
                return False
            del self._loaded[name]
        if len(self._loaded) < self.limits.max_loaded_models:
            return True
        idle = [one for one in self._loaded.values() if not one.uses]
        if not idle:
            return False
        del self._loaded[min(idle, key=lambda one: one.expires_at).name]
        return True
