"""Entries to bytes and back: versioned JSON with a closed schema. Pure."""

from __future__ import annotations

import msgspec

from aegis_llm.values import Entry

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """Return the bytes of an entry.

    Raises:
        ValueError: The entry holds text or a value that JSON cannot carry.
    """
    try:
        return _encoder.encode(entry)
    except (TypeError, UnicodeError, RecursionError, msgspec.MsgspecError) as exc:
        msg = f"the answer cannot be stored: {exc}"
        raise ValueError(msg) from exc


def decode(data: bytes) -> Entry | None:
    """Return the entry, or None when the bytes are no entry of this schema version."""
    try:
        entry = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return entry if entry.answers else None
