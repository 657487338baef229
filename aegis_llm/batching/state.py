"""What is to be seen of a queue."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


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
