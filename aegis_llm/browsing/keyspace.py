"""The keys of a namespace by SCAN, one call at a time, on one server or all of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aegis_llm.browsing.places import ScanPlace

_AT_ONCE = 1000


def batch(client: Any, pattern: str, place: ScanPlace) -> tuple[list[bytes], ScanPlace | None]:
    """Return the keys of one call of SCAN, sorted, and the next place; None: there is none.

    The same place gives the same keys, as long as Redis does not resize its table.
    """
    nodes = servers(client)
    if nodes is None:
        cursor, found = client.scan(place.cursor, match=pattern, count=_AT_ONCE)
        last = True
    else:
        if place.node >= len(nodes):
            return [], None
        asked = {"match": pattern, "count": _AT_ONCE, "target_nodes": [nodes[place.node]]}
        cursors, found = client.scan(place.cursor, **asked)
        cursor = next(iter(cursors.values()), 0)
        last = place.node == len(nodes) - 1
    following = None if last else ScanPlace(place.node + 1)
    return sorted(set(found)), ScanPlace(place.node, int(cursor)) if cursor else following


def batches(client: Any, pattern: str) -> Iterator[list[bytes]]:
    """Yield all keys, some at a time; one that moves meanwhile may come twice."""
    place: ScanPlace | None = ScanPlace()
    while place is not None:
        keys, place = batch(client, pattern, place)
        if keys:
            yield keys


def servers(client: Any) -> list[Any] | None:
    """Return the servers of a cluster in a fixed order; None: it is one server."""
    if not hasattr(client, "get_primaries"):
        return None
    return sorted(client.get_primaries(), key=lambda node: str(node.name))
