"""Entries as lines of JSON, out and in again: what comes in is checked, and never run. Pure.

The first line is the header, the last one says how many entries lie between: who finds none knows
that the rest was cut off. Each other line is one entry, with the vectors of the semantic tier.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Annotated, Any

import msgspec

from aegis_llm import codec
from aegis_llm.errors import ConfigError
from aegis_llm.explanation.words import shown
from aegis_llm.keys import SCHEMA, semantic_prefix
from aegis_llm.names import names_of
from aegis_llm.plan import Put, SemanticRecord
from aegis_llm.values import Entry, Milliseconds

FORMAT = 1
_MOST_OF_AN_END = 60
LONGEST = 16 * 1024 * 1024
_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_NAMES = 10_000
_MOST_VECTORS = 8
_MOST_NUMBERS = 16_384
_TENANT = re.compile(r"(?:[0-9a-f]{32})?")
_TAIL = re.compile(r"[\w./:?+-]{1,160}")
_INDEX = re.compile(r"[A-Za-z0-9-]{1,33}-(\d{1,5})-[0-9a-f]{8}")
_DAY_MS = 86_400_000
_LONGEST_LIFE_MS = 11 * 366 * _DAY_MS


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line: the format, and the state of the namespace when it was written."""

    aegis_export: int = FORMAT
    namespace: str
    version: Milliseconds
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    exported_ms: Milliseconds


class End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line."""

    aegis_end: int


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the semantic tier has for an entry in one index; `vector` is base64 in JSON."""

    index: str
    vector: bytes
    tenant: str = ""


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry; `tail` is what its key has after the hash."""

    entry: Entry
    tail: str
    vectors: tuple[Vector, ...] = ()


class Ready(msgspec.Struct, frozen=True):
    """A line that may be stored: the exact tier's part, and the semantic ones by key.

    `indexes` are those of the semantic parts, with the numbers of their vectors.
    """

    put: Put
    semantic: tuple[tuple[str, SemanticRecord], ...] = ()
    indexes: tuple[tuple[str, int], ...] = ()

    @property
    def entry_id(self) -> str:
        """The hash in its key."""
        return self.put.key.split(":")[4]


class Refused(ValueError):  # noqa: N818 - one line of many: it is counted, and told
    """A line is no entry that may be stored; the message says why."""


_encode = msgspec.json.Encoder().encode
_line = msgspec.json.Decoder(Line)
_end = msgspec.json.Decoder(End)


def line_of(value: Header | Line | End) -> bytes:
    """Return a line with its end."""
    return _encode(value) + b"\n"


def is_end(line: bytes) -> bool:
    """Return whether it is the last line of an export."""
    try:
        return len(line) < _MOST_OF_AN_END and bool(_end.decode(line))
    except (msgspec.MsgspecError, ValueError):
        return False


def header_of(line: bytes) -> Header:
    """Read the first line.

    Raises:
        ConfigError: It is none that this version reads.
    """
    try:
        told: Any = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))  # Windows' BOM
    except (msgspec.MsgspecError, ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or "aegis_export" not in told:
        msg = "this is no export of aegis-llm: its first line is no header"
        raise ConfigError(msg)
    if told["aegis_export"] != FORMAT:
        version = shown(str(told["aegis_export"]), 20)
        msg = f"the export has format {version}, this version of aegis-llm reads {FORMAT}"
        raise ConfigError(msg)
    try:
        return msgspec.convert(told, Header)
    except (msgspec.MsgspecError, ValueError) as exc:
        msg = f"the header of the export is broken: {shown(str(exc))}"
        raise ConfigError(msg) from exc


def ready(line: bytes, namespace: str, now_ms: int) -> Ready | None:
    """Return what a line is to be stored as; None: its time is over.

    Raises:
        Refused: It is no entry.
    """
    if len(line) >= LONGEST:
        msg = f"longer than {LONGEST // 1024 // 1024} MiB"
        raise Refused(msg)
    try:
        told = _line.decode(line)
        data = codec.encode(told.entry)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise Refused(shown(str(exc))) from exc
    entry = told.entry
    if why := _wrong(entry, told.tail, now_ms):
        raise Refused(why)
    if entry.expires_ms <= now_ms:
        return None
    if len(told.vectors) > _MOST_VECTORS:
        msg = f"it has more than {_MOST_VECTORS} vectors"
        raise Refused(msg)
    semantic = tuple(_semantic(entry, vector, namespace) for vector in told.vectors)
    names = names_of(entry.documents, entry.tags)
    key = f"aegis:{SCHEMA}:{namespace}:x:{entry.key}:{told.tail}"
    put = Put(key, data, entry.expires_ms - now_ms, names=names)
    return Ready(put, semantic, tuple((v.index, len(v.vector) // 4) for v in told.vectors))


def _wrong(entry: Entry, tail: str, now_ms: int) -> str:
    """Return why it is no entry that a request would have stored; empty: it may be one."""
    if not _HASH.fullmatch(entry.key):
        return "entry.key is no hash"
    if entry.scope and not _HASH.fullmatch(entry.scope):
        return "entry.scope is no hash"
    if not _TAIL.fullmatch(tail):
        return "tail is not that of a key"
    if not entry.answers:
        return "it has no answer"
    if entry.alias_of:
        return "it is a copy of another entry"
    if entry.created_ms > now_ms + _DAY_MS:
        return "it was created in the future"
    if not 0 < entry.expires_ms - entry.created_ms <= _LONGEST_LIFE_MS:
        return "its time to live is not possible"
    if len(entry.documents) + len(entry.tags) > _MOST_NAMES:
        return f"it has more than {_MOST_NAMES:,} documents and tags"
    if not all(one and one.isprintable() for one in entry.tags):
        return "a tag is empty or not printable"
    return ""


def _semantic(entry: Entry, vector: Vector, namespace: str) -> tuple[str, SemanticRecord]:
    index = _INDEX.fullmatch(vector.index)
    if index is None:
        msg = "vectors.index names no index"
        raise Refused(msg)
    numbers = int(index[1])
    if not 0 < numbers <= _MOST_NUMBERS or len(vector.vector) != 4 * numbers:
        msg = f"a vector has not the {numbers} numbers of its index"
        raise Refused(msg)
    if not all(map(math.isfinite, struct.unpack(f"<{numbers}f", vector.vector))):
        msg = "a vector holds what is no number"
        raise Refused(msg)
    if not entry.question or not entry.scope or not _TENANT.fullmatch(vector.tenant):
        msg = "a vector without a question, a scope or a tenant's hash"
        raise Refused(msg)
    record = SemanticRecord(
        entry.key,
        entry.scope,
        entry.question,
        vector.vector,
        vector.tenant,
        entry.model,
        entry.tags,
        entry.documents,
        entry.created_ms,
    )
    return semantic_prefix(namespace, vector.index) + entry.key, record
