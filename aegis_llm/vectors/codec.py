"""Vectors to bytes and back: a small header and float32, little endian. Pure.

The header holds a mark of the schema, a part of the key, the dimension and a checksum: bytes that
are damaged, or belong to another text, are no vector.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

_HEADER = struct.Struct("<4s8sII")
_MARK = b"AEV1"
_FLOAT = np.dtype("<f4")


def pack(numbers: Sequence[float]) -> bytes:
    """Return the float32 bytes of a vector; what is too big for one is infinite.

    Raises:
        ValueError: It is no list of numbers.
        TypeError: It is no list of numbers.
    """
    with np.errstate(over="ignore"):
        vector = np.asarray(numbers, dtype=_FLOAT)
    if vector.ndim != 1:
        msg = f"{vector.ndim} dimensions in the place of one"
        raise ValueError(msg)
    return vector.tobytes()


def unpack(vector: bytes) -> list[float]:
    """Return the numbers of a vector."""
    numbers: list[float] = np.frombuffer(vector, _FLOAT).tolist()
    return numbers


def dimension(vector: bytes) -> int:
    """Return how many numbers a vector has."""
    return len(vector) // _FLOAT.itemsize


def sound(vector: bytes) -> bool:
    """Return whether all numbers are finite, and not all of them zero."""
    numbers = np.frombuffer(vector, _FLOAT)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = float(np.dot(numbers, numbers))
    return 0.0 < norm < float("inf")


def encode(key: str, vector: bytes) -> bytes:
    """Return the value under which a vector is kept at its key."""
    tag = _tag(key)
    return _HEADER.pack(_MARK, tag, dimension(vector), _checksum(tag, vector)) + vector


def decode(key: str, data: bytes) -> bytes | None:
    """Return the vector, or None when the bytes are no sound vector of this key."""
    if len(data) < _HEADER.size:
        return None
    mark, tag, size, checksum = _HEADER.unpack_from(data)
    vector = data[_HEADER.size :]
    if mark != _MARK or tag != _tag(key) or len(vector) != size * _FLOAT.itemsize:
        return None
    return vector if checksum == _checksum(tag, vector) and sound(vector) else None


def _tag(key: str) -> bytes:
    return bytes.fromhex(key.split(":", 5)[4][:16])


def _checksum(tag: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(tag))
