"""Pages of entries by the Query Engine: newest first, by words, document, tag or model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from redisvl.query.filter import Tag

from aegis_llm import codec
from aegis_llm.browsing import details
from aegis_llm.browsing.places import SearchPlace
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
    """Return the ids of the namespace's indexes; None: there is no Query Engine, or no right."""
    names = indexes(client)
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
    found: list[tuple[int, bytes, int, Entry]] = []
    total = 0
    for index_id in ids:
        name = f"aegis:{SCHEMA}:{namespace}:i:{index_id}"
        total += _count(client, name, query, 0, _NEWEST)
        found += _newest(client, name, query, place.before_ms, wanted)
    found.sort(key=lambda one: (-one[0], one[3].key))
    shown = found[place.skip : wanted]
    rows = [(key, size, entry) for _, key, size, entry in shown]
    following = ""
    if shown and len(found) >= wanted:
        last = shown[-1][0]
        same = sum(one[0] == last for one in found[:wanted])
        following = str(SearchPlace(last, same))
    return Page(
        entries=details.seen(client, namespace, rows),
        next=following,
        via="search",
        looked=len(shown),
        total=total,
    )


def _newest(
    client: Any, name: str, query: str, before_ms: int, wanted: int
) -> list[tuple[int, bytes, int, Entry]]:
    """Return the newest that a query finds; the window of time is widened until it has enough.

    To sort, the server reads the time of all that it finds: so it is to find few.
    """
    width, least = _NARROWEST_MS, 0
    newest = _last(client, name) if before_ms == _NEWEST else before_ms
    while width < _WIDEST_MS:
        least = max(0, newest - width)
        if _count(client, name, query, least, before_ms) >= wanted:
            break
        width *= 4
    else:
        least = 0
    reply = client.execute_command(
        "FT.SEARCH", name, _within(query, least, before_ms),
        "RETURN", 3, "value", "exact", "created",
        "SORTBY", "created", "DESC", "LIMIT", 0, wanted, "DIALECT", 2,
    )  # fmt: skip
    found = []
    for row in reply[2::2]:
        fields = dict(zip(row[::2], row[1::2], strict=False)) if isinstance(row, list) else {}
        value, key = fields.get(b"value"), fields.get(b"exact")
        entry = codec.decode(value) if isinstance(value, bytes) else None
        if entry is not None and isinstance(key, bytes):
            found.append((entry.created_ms, key, len(value or b""), entry))
    return found


def _last(client: Any, name: str) -> int:
    """Return the time of this moment by the server's clock, from which windows are counted."""
    return int(client.time()[0]) * 1000


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
