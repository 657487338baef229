"""Settings of the scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from aegis_llm.config.checks import check_flag, check_range, check_whole, require

Window = Literal["busy", "always"]


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """Settings of the scheduler.

    Attributes:
        single_flight: Identical requests at the same time make one model call.
        schedule: Decide which request is sent when; False sends each at once, as without this
            package.
        num_parallel: Slots of a model on its server (its OLLAMA_NUM_PARALLEL). None: measured from
            the replies; until it is known, nothing waits.
        window: "busy" (a request waits only while every slot is busy) or "always" (gathers for
            `window_ms` even when a slot is free).
        window_ms: Longest time that requests are gathered before they are sent.
        max_batch: Requests gathered at which the window ends.
        max_queue: Requests that may wait for one server; one more raises `QueueFullError`. None:
            any number.
        queue_timeout_s: Longest wait for a slot; then `QueueTimeoutError` is raised. None: any.
        prefix_run: Requests of one prefix sent in a row before the oldest one has its turn.
        max_loaded_models: Models that the server keeps loaded. None: learned from it.
        retries: How often a request is sent again after a 503 or a lost connection.
        normalise_options: Give requests the runner options (`num_ctx`, `num_batch`, `num_thread`,
            `num_gpu`, ...) that their model is loaded with, where they would reload it.
    """

    single_flight: bool = True
    schedule: bool = True
    num_parallel: int | None = None
    window: Window = "busy"
    window_ms: float = 50.0
    max_batch: int = 32
    max_queue: int | None = None
    queue_timeout_s: float | None = None
    prefix_run: int = 8
    max_loaded_models: int | None = None
    retries: int = 2
    normalise_options: bool = True

    def __post_init__(self) -> None:
        for name in ("single_flight", "schedule", "normalise_options"):
            check_flag(name, getattr(self, name))
        known = get_args(Window)
        require(self.window in known, f"window={self.window!r}", f"give one of {', '.join(known)}")
        check_range("window_ms", self.window_ms, 0, 60_000, "milliseconds, 0 to 60,000")
        for name in ("max_batch", "prefix_run"):
            check_whole(name, getattr(self, name), 1, 1 << 20, "a whole number, 1 or more")
        for name in ("num_parallel", "max_queue", "max_loaded_models"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1, 1 << 20, "a whole number, 1 or more")
        check_whole("retries", self.retries, 0, 10, "a whole number from 0 to 10")
        if self.queue_timeout_s is not None:
            seconds = "seconds, more than 0"
            check_range("queue_timeout_s", self.queue_timeout_s, 0.001, 86_400, seconds)
