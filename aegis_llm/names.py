"""Names under which entries are found when a document or a tag is invalidated. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

Names = tuple[str, ...]


def names_of(documents: Iterable[str], tags: Iterable[str]) -> Names:
    """Return one name for each document and each tag: a letter and 32 hex digits."""
    found = [_name("d", document) for document in documents]
    found += [_name("t", tag) for tag in tags]
    return tuple(dict.fromkeys(found))


def readable(name: str) -> str:
    """Return an id as text that JSON can carry: a lone surrogate is escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


@lru_cache(maxsize=4096)
def _name(kind: str, text: str) -> str:
    return kind + hashlib.sha256(readable(text).encode()).hexdigest()[:32]
