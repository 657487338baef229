"""Pages of entries by SCAN: every entry is seen, in no order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis_llm.browsing import details, keyspace
from aegis_llm.browsing.places import ScanPlace
from aegis_llm.browsing.values import Page, Seen
from aegis_llm.stores.redis_commands import entries_of
from aegis_llm.values import Entry

_READ_AT_ONCE = 200


def page(
    client: Any,
    namespace: str,
    place: ScanPlace,
    count: int,
    wanted: Callable[[Entry], bool] | None,
    going: Callable[[], bool],
) -> Page:
    """Return up to `count` entries from a place on, of those that are wanted.

    Between two calls of SCAN it stops once `going` says so.
    """
    here: ScanPlace | None = place
    shown: list[Seen] = []
    looked, begun = 0, False
    while here is not None and len(shown) < count and not (begun and not going()):
        keys, after = keyspace.batch(client, entries_of(namespace), here)
        done = here.skip
        while done < len(keys) and len(shown) < count and not (begun and not going()):
            room = _READ_AT_ONCE if wanted else count - len(shown)
            some = keys[done : done + room]
            found = details.entries(client, some)
            if wanted:
                found = [one for one in found if wanted(one.entry)]
            if len(found) > (left := count - len(shown)):
                found = found[:left]
                some = some[: some.index(found[-1].key) + 1]
            shown += details.seen(client, namespace, found)
            done += len(some)
            looked += len(some)
            begun = True
        here = ScanPlace(here.node, here.cursor, done) if done < len(keys) else after
        begun = True
    return Page(entries=tuple(shown), next="" if here is None else str(here), looked=looked)


def containing(text: str) -> Callable[[Entry], bool]:
    """Return what tells whether an entry has a text in its question, answer, documents or tags."""
    sought = text.casefold()

    def wanted(entry: Entry) -> bool:
        texts = (entry.question or "", entry.answer.text, *entry.documents, *entry.tags)
        return any(sought in one.casefold() for one in texts)

    return wanted
