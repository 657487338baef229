"""What is to be seen of a queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from aegis_llm.metrics.registry import METRICS
from aegis_llm.metrics.snapshot import ModelQueue


class ModelState(msgspec.Struct, frozen=True):
    """One model on one server.

    `slots` is how many requests the server answers at once (None: not known yet), `measured`
    whether that was found out from replies, `sent` how many requests were sent so far, `loaded`
    whether the model is in the server's memory, as far as is known.
    """

    waiting: int
    flying: int
    slots: int | None
    measured: bool
    sent: int
    loaded: bool


class QueueState(msgspec.Struct, frozen=True):
    """The queue in front of one server; `room` is how many models fit there, where it is known."""

    server: str
    models: Mapping[str, ModelState]
    room: int | None


_sources: list[Callable[[], list[QueueState]]] = []


def show(source: Callable[[], list[QueueState]]) -> None:
    """Have `queues` tell what a source says."""
    _sources.append(source)


def queues() -> list[QueueState]:
    """Return what the queue of each server of this process looks like now."""
    return [state for source in _sources for state in source()]


def _for_metrics() -> list[ModelQueue]:
    return [
        ModelQueue(queue.server, model, state.waiting, state.flying, state.slots)
        for queue in queues()
        for model, state in queue.models.items()
    ]


METRICS.watch_queues(_for_metrics)
