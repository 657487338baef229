"""What the plans of a warm-up ask for, and what is given to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from aegis_llm.bootstrap.warming.values import Kind

Why = Literal["down", "timeout", "refused", "busy", "odd"]


class CallError(Exception):
    """A call that gave nothing.

    Attributes:
        why: `down` (no connection), `timeout`, `refused` (the server says why in `text`), `busy`
            (the queue of this process), `odd` (what came is no answer of an Ollama).
    """

    def __init__(self, why: Why, text: str = "", status: int = 0) -> None:
        super().__init__(text or why)
        self.why = why
        self.text = text
        self.status = status


class Said(msgspec.Struct, frozen=True):
    """What a server answered, and after how many seconds."""

    body: Mapping[str, Any]
    seconds: float


class Ask(msgspec.Struct, frozen=True):
    """Send one request beside the queue -> Said.

    `most_s`: longest wait, if it is less than what is left of the whole time.
    """

    method: Literal["GET", "POST"]
    path: str
    body: Mapping[str, Any] = {}
    most_s: float | None = None


class Settle(msgspec.Struct, frozen=True):
    """Agree on the runner options of a model with the other callers in the process -> dict."""

    model: str
    options: Mapping[str, Any]


class Tell(msgspec.Struct, frozen=True):
    """Say whether a model could be loaded with the agreed options -> None."""

    model: str
    options: Mapping[str, Any]
    worked: bool


class Send(msgspec.Struct, frozen=True):
    """Send chats through the queue, all at once, behind all others -> list[Said | CallError]."""

    bodies: tuple[Mapping[str, Any], ...]


class Slots(msgspec.Struct, frozen=True):
    """Ask how many requests of a model the server answers at once -> int | None: not known."""

    model: str


class Clock(msgspec.Struct, frozen=True):
    """Ask for the time -> seconds of a monotonic clock."""


class Rate(msgspec.Struct, frozen=True):
    """Ask for the longest seconds a token that a prompt of the model took -> float.

    `seen` is what was seen now; 0: nothing is known yet.
    """

    model: str
    seen: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model that is to be warm.

    Attributes:
        options: All options of its requests.
        extra: Other fields of their bodies that change the prompt (`think`).
        keep_alive: As they carry it; None: they carry none.
    """

    name: str
    kind: Kind = "chat"
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    keep_alive: float | str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What one server has to have.

    Attributes:
        models: The prefixes are those of the first that chats.
        prefixes: Bodies of chats: `messages`, `tools`.
        num_parallel: Slots to fill; None: as many as are known.
        verify: Whether a request is sent after a load, to see that it loads nothing.
    """

    url: str
    models: tuple[Model, ...]
    prefixes: tuple[dict[str, Any], ...] = ()
    num_parallel: int | None = None
    verify: bool = True


class Reach(msgspec.Struct, frozen=True):
    """Connect to Redis and look at it -> stores.redis_about.About."""


class Digests(msgspec.Struct, frozen=True):
    """Learn the digests of the models for the cache -> bool: whether they are known."""


class Dimension(msgspec.Struct, frozen=True):
    """Embed a text -> how many numbers its vector has."""


class HasIndex(msgspec.Struct, frozen=True):
    """Ask whether the semantic index is there -> bool | None: not allowed to ask."""

    dimension: int


class MakeIndex(msgspec.Struct, frozen=True):
    """Make the semantic index as the first look-up would -> None."""

    dimension: int
