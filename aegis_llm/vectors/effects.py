"""What the plans of vectors ask for, and what becomes of a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from aegis_llm.plan import Put

Texts: TypeAlias = tuple[str, ...]


class Cut(msgspec.Struct, frozen=True):
    """The vector of the beginning of a text; how much of it was read, only the server knows."""

    vector: bytes


class TooLong(msgspec.Struct, frozen=True):
    """The server refused a text for its length."""

    error: Exception


Outcome: TypeAlias = bytes | Cut | TooLong
"""What became of a text: its vector (float32 bytes), or why there is none of the whole text."""


class Digest(msgspec.Struct, frozen=True):
    """Ask for the digest of the model -> str | None."""


class GetVectors(msgspec.Struct, frozen=True):
    """Ask the in-process copy, then the store if `shared` -> dict[str, bytes], trouble or not.

    The values by their keys, as far as there are any, and whether the store was in trouble.
    """

    keys: Texts
    shared: bool


class KeepVectors(msgspec.Struct, frozen=True):
    """Put values into the in-process copy -> None."""

    puts: tuple[Put, ...]


class PutVectors(msgspec.Struct, frozen=True):
    """Store values -> None."""

    puts: tuple[Put, ...]


class Claim(msgspec.Struct, frozen=True):
    """Lead the computing of texts that nobody computes, and learn who computes the others.

    -> an object with `mine` (texts), `others` (what to wait for by text), `settle(outcomes)` and
    `release()`, which lets those that wait for an unsettled text compute it themselves.
    """

    texts: Texts


class Send(msgspec.Struct, frozen=True):
    """Have texts computed, in one request with those of other callers -> list[Outcome]."""

    texts: Texts


class Wait(msgspec.Struct, frozen=True):
    """Wait for a text that another caller has computed -> Outcome | None.

    None: it was not computed, or may not be waited for.
    """

    waiting: Any


class Ask(msgspec.Struct, frozen=True):
    """Send one request to the server -> the vectors as it gives them (lists of numbers)."""

    texts: Texts
    truncate: bool = False


class VectorRules(msgspec.Struct, frozen=True):
    """The settings that the plans decide by.

    Attributes:
        namespace: Where vectors are kept.
        model: Name of the model.
        options: All options of the request.
        dimensions: How many numbers are asked for, at most; None: all.
        ttl_ms: How long a vector is kept from now on.
        shared: Whether vectors may leave the process.
    """

    namespace: str
    model: str
    options: Mapping[str, Any]
    dimensions: int | None
    ttl_ms: Callable[[], int]
    shared: bool = True
