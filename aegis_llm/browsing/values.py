"""What is told about entries: one of them, and a page of them. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aegis_llm.values import Entry

Via = Literal["scan", "search"]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it is stored.

    `key` is its key in the exact tier, or in the semantic one where it is there alone. `hits` and
    `used_ms` (since the epoch) are None where nothing counts them, `ttl_ms` where it never
    expires. `size` is that of its value in bytes.
    """

    entry: Entry
    key: str
    size: int
    ttl_ms: int | None = None
    hits: int | None = None
    used_ms: int | None = None

    @property
    def entry_id(self) -> str:
        """The id that an answer's metadata shows."""
        return self.entry.key

    @property
    def tail(self) -> str:
        """What its key in the exact tier has after the id: model and temperature."""
        parts = self.key.split(":", 5)
        return parts[5] if len(parts) > 5 and not self.reworded_only else ""

    @property
    def reworded_only(self) -> bool:
        """Whether a reworded question finds it, and an identical request no longer does."""
        return self.key.split(":", 4)[3:4] == ["s"]

    def plain(self) -> dict[str, Any]:
        """Return what a person asks about, as plain data."""
        entry = self.entry
        return {
            "entry_id": entry.key,
            "question": entry.question,
            "answer": entry.answer.text,
            "model": entry.model,
            "created_ms": entry.created_ms,
            "ttl_ms": self.ttl_ms,
            "hits": self.hits,
            "used_ms": self.used_ms,
            "bytes": self.size,
            "documents": list(entry.documents),
            "tags": list(entry.tags),
            "key": self.key,
            "reworded_only": self.reworded_only,
        }


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some entries, and where the next ones begin; `next` is empty at the end.

    A page may be short, even empty, and not the last: the time for it was over. `via` tells
    whether every key was looked at, in no order, or the index, newest first. `total` is how many
    there are in all, where the index knows; `looked` how many entries were looked at.
    """

    entries: tuple[Seen, ...]
    next: str = ""
    via: Via = "scan"
    looked: int = 0
    total: int | None = None
