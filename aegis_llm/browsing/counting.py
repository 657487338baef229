"""Counts what a namespace holds, entry by entry, in memory that does not grow with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from aegis_llm.browsing import details, keyspace
from aegis_llm.metrics import usage
from aegis_llm.stores.redis_commands import values_of
from aegis_llm.values import Entry

_MODELS_KEPT = 50
_READ_AT_ONCE = 200
OTHERS = "others"


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted; `complete` is False while the counting goes on.

    `reworded` are entries that a reworded question can find. `hits` and what was saved by them are
    of the entries that are there now; None where nothing counts hits. Times are ms since the
    epoch; `answer_bytes` is the size of the values, not of all that Redis needs for them.
    """

    entries: int = 0
    reworded: int = 0
    vectors: int = 0
    answer_bytes: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None
    hits: int | None = None
    used: int | None = None
    saved_ms: float | None = None
    saved_tokens: int | None = None
    models: dict[str, int] = {}
    complete: bool = False

    @property
    def answered_by_entries(self) -> float | None:
        """Which share of the requests to these entries they answered: each was made by a miss."""
        if self.hits is None or not self.entries:
            return None
        return self.hits / (self.hits + self.entries)


def take_stock(client: Any, namespace: str) -> Iterator[Stock]:
    """Yield what is counted so far, a thousand keys at a time; the last one is complete."""
    counts_hits = bool(client.exists(usage.hits_key(namespace)))
    stock = Stock(hits=0, used=0, saved_ms=0.0, saved_tokens=0) if counts_hits else Stock()
    models: Counter[str] = Counter()
    for keys in keyspace.batches(client, values_of(namespace)):
        tiers = Counter(key.split(b":")[3] for key in keys)
        stock = msgspec.structs.replace(
            stock, reworded=stock.reworded + tiers[b"s"], vectors=stock.vectors + tiers[b"v"]
        )
        exact = [key for key in keys if key.split(b":")[3] == b"x"]
        for start in range(0, len(exact), _READ_AT_ONCE):
            found = details.entries(client, exact[start : start + _READ_AT_ONCE])
            stock = _with(stock, found)
            if counts_hits:
                stock = _with_hits(stock, client, namespace, [one.entry for one in found])
            for model in (one.entry.model for one in found):
                known = model in models or len(models) < _MODELS_KEPT
                models[model if known else OTHERS] += 1
        stock = msgspec.structs.replace(stock, models=dict(models.most_common()))
        yield stock
    yield msgspec.structs.replace(stock, complete=True)


def _with(stock: Stock, found: Sequence[details.Found]) -> Stock:
    if not found:
        return stock
    times = [one.entry.created_ms for one in found]
    oldest, newest = min(times), max(times)
    return msgspec.structs.replace(
        stock,
        entries=stock.entries + len(found),
        answer_bytes=stock.answer_bytes + sum(one.size for one in found),
        oldest_ms=oldest if stock.oldest_ms is None else min(oldest, stock.oldest_ms),
        newest_ms=newest if stock.newest_ms is None else max(newest, stock.newest_ms),
    )


def _with_hits(stock: Stock, client: Any, namespace: str, entries: Sequence[Entry]) -> Stock:
    if not entries:
        return stock
    asked = [("HMGET", usage.hits_key(namespace), *(entry.key for entry in entries))]
    told = details.asked(client, asked)[0] or [None] * len(entries)
    hits = [details.whole(one) or 0 for one in told]
    answers = [entry.answer for entry in entries]
    pairs = list(zip(hits, answers, strict=True))
    tokens = sum(n * (one.prompt_tokens + one.completion_tokens) for n, one in pairs)
    return msgspec.structs.replace(
        stock,
        hits=(stock.hits or 0) + sum(hits),
        used=(stock.used or 0) + sum(n > 0 for n in hits),
        saved_ms=(stock.saved_ms or 0.0) + sum(n * one.duration_ms for n, one in pairs),
        saved_tokens=(stock.saved_tokens or 0) + tokens,
    )
