"""Pages of entries by the Query Engine: newest first, by words, document, tag or model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from aegis_llm import codec
from aegis_llm.browsing import details
from aegis_llm.browsing.keyspace import servers
from aegis_llm.browsing.places import MOST_OF_A_MOMENT, SearchPlace
from aegis_llm.browsing.values import Page
from aegis_llm.keys import SCHEMA
from aegis_llm.stores.redis_about import indexes
from aegis_llm.stores.redis_commands import parse_count, reason_of
from aegis_llm.values import Entry

_FIELDS = {"doc": "documents", "tag": "tags", "model": "model"}
_WORD = re.compile(r"\w+")
_NEWEST = 9_999_999_999_999
_WIDEST_MS = 1 << 43
_NARROWEST_MS = 1 << 10


def index_ids(client: Any, namespace: str) -> tuple[str, ...] | None:
    """Return the ids of the namespace's indexes; None: there is no Query Engine, or no right.

    A cluster has the exact tier only.
    """
    names = indexes(client) if servers(client) is None else None
    prefix = f"aegis:{SCHEMA}:{namespace}:i:"
    if names is None:
        return None
    return tuple(sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix)))


def query_of(text: str) -> str | None:
    """Return the query that a person's words make; None: they hold no word to search for.

    `doc:ID`, `tag:NAME` and `model:NAME` name a field exactly; all else are words of the question,
    the last of which may be unfinished. Nothing of it is read as query language.
    """
    kind, _, value = text.strip().partition(":")
    if value.strip() and kind in _FIELDS:
        from redisvl.query.filter import Tag  # slow, and every command would wait for it

        return str(Tag(_FIELDS[kind]) == value.strip())
    words = _WORD.findall(text)
    if not words:
        return None if text.strip() else "*"
    *whole, last = words
    begun = f"({last}|{last}*)" if len(last) > 1 else last
    return f"@question:({' '.join([*whole, begun])})"


def page(
    client: Any,
    namespace: str,
    ids: Sequence[str],
    query: str,
    place: SearchPlace | None,
    count: int,
) -> Page:
    """Return up to `count` entries that a query finds in any of the indexes, newest first."""
    place = place or SearchPlace(_NEWEST)
    wanted = place.skip + count
    found: list[_Row] = []
    total = 0
    for index_id in ids:
        name = f"aegis:{SCHEMA}:{namespace}:i:{index_id}"
        total += _total(client, name) if query == "*" else _count(client, name, query, 0, _NEWEST)
        found += _newest(client, name, query, place.before_ms, wanted + 1)
    found.sort(key=lambda row: (-row.created_ms, row.key))
    shown = found[place.skip : wanted]
    following = ""
    if shown and len(found) > wanted:
        last = shown[-1].created_ms
        same = sum(row.created_ms == last for row in found[:wanted])
        following = str(SearchPlace(last, same))
    rows = [
        details.Found(row.exact, row.size, row.entry, row.key)
        for row in shown
        if row.entry is not None
    ]
    return Page(
        entries=details.seen(client, namespace, rows),
        next=following,
        via="search",
        looked=len(shown),
        total=total,
    )


class _Row(msgspec.Struct, frozen=True):
    """What the index has of an entry; `entry` is None when it is no longer there."""

    created_ms: int
    key: bytes
    exact: bytes
    size: int
    entry: Entry | None


def _newest(client: Any, name: str, query: str, before_ms: int, wanted: int) -> list[_Row]:
    """Return the newest that a query finds; the window of time is widened until it has enough.

    To sort, the server reads the time of all that it finds: so it is to find few.
    """
    width, least = _NARROWEST_MS, 0
    newest = _now_ms(client) if before_ms == _NEWEST else before_ms
    while width < _WIDEST_MS:
        least = max(0, newest - width)
        if _count(client, name, query, least, before_ms) >= wanted:
            break
        width *= 4
    else:
        least = 0
    found = _rows(client, name, query, least, before_ms, wanted)
    if len(found) < wanted:
        return found
    last = min(row.created_ms for row in found)
    newer = [row for row in found if row.created_ms > last]
    if _count(client, name, query, last, last) == len(found) - len(newer):
        return found
    # The server gives any of those of one moment: all are asked for, so that each comes once.
    return newer + _rows(client, name, query, last, last, MOST_OF_A_MOMENT)


def _rows(
    client: Any, name: str, query: str, least: int, before_ms: int, count: int
) -> list[_Row]:
    reply = client.execute_command(
        "FT.SEARCH", name, _within(query, least, before_ms),
        "RETURN", 3, "value", "exact", "created",
        "SORTBY", "created", "DESC", "LIMIT", 0, count, "DIALECT", 2,
    )  # fmt: skip
    found = []
    for key, row in zip(reply[1::2], reply[2::2], strict=False):
        fields = dict(zip(row[::2], row[1::2], strict=False)) if isinstance(row, list) else {}
        value, exact = fields.get(b"value"), fields.get(b"exact")
        created = details.whole(fields.get(b"created"))
        entry = codec.decode(value) if isinstance(value, bytes) else None
        if not isinstance(exact, bytes):
            entry = None
        if created is not None:
            found.append(_Row(created, key, exact or b"", len(value or b""), entry))
    return found


def _now_ms(client: Any) -> int:
    """Return the time by the server's clock, from which windows are counted."""
    return int(client.time()[0]) * 1000


def _total(client: Any, name: str) -> int:
    """Return how many entries an index has; to search for all would take as long as there are."""
    told = client.execute_command("FT.INFO", name)
    return details.whole(dict(zip(told[::2], told[1::2], strict=False)).get(b"num_docs")) or 0


def _count(client: Any, name: str, query: str, least: int, before_ms: int) -> int:
    text = query if not least and before_ms == _NEWEST else _within(query, least, before_ms)
    asked = ("FT.SEARCH", name, text, "NOCONTENT", "LIMIT", 0, 0, "DIALECT", 2)
    return parse_count(client.execute_command(*asked))


def _within(query: str, least: int, before_ms: int) -> str:
    span = f"@created:[{least} {before_ms}]"
    return span if query == "*" else f"({query}) {span}"


def unsearchable(error: Exception) -> bool:
    """Return whether the server could not read a query, or has no index any more."""
    return reason_of(error) in ("redis_error", "index_missing", "no_query_engine")
