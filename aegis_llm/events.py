"""What the processes that share a namespace tell each other. Pure.

A process ignores a kind of event that it does not know, so that kinds can be added.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from aegis_llm.names import Names


class Invalidated(msgspec.Struct, frozen=True, tag_field="kind", tag="invalidated"):
    """Entries of these documents and tags were removed."""

    names: Names


class Renewed(msgspec.Struct, frozen=True, tag_field="kind", tag="renewed"):
    """Everything in the namespace was invalidated: its entries are no longer looked for."""

    version: Annotated[int, msgspec.Meta(gt=0, lt=2**62)]


class Rejected(msgspec.Struct, frozen=True, tag_field="kind", tag="rejected"):
    """An entry was rejected."""

    entry_id: str


class Refused(msgspec.Struct, frozen=True, tag_field="kind", tag="refused"):
    """Pairs of questions were found to be different; see `pair_id`."""

    pairs: tuple[str, ...]


class Missed(msgspec.Struct, frozen=True, tag_field="kind", tag="missed"):
    """Events were lost: whatever this process holds may have been invalidated."""


Event: TypeAlias = Invalidated | Renewed | Rejected | Refused | Missed
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """Return the bytes that are published."""
    return _encoder.encode(event)


def decode(data: bytes) -> Event | None:
    """Return the event, or None when it is none or of an unknown kind."""
    try:
        event: Event = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return event
