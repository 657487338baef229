"""A look as names and values for a person, the same in the terminal and on the page. Pure."""

from __future__ import annotations

from aegis_llm.browsing.counting import Stock
from aegis_llm.browsing.figures import Figures, quantile
from aegis_llm.browsing.overview import Memory
from aegis_llm.explanation.words import ago

UNKNOWN = "unknown"
_OUTCOMES = {
    "hit_local": "from this process's copy",
    "hit_exact": "the same request, from Redis",
    "hit_semantic": "a reworded question",
    "coalesced": "shared with one under way",
    "miss": "asked the model",
    "bypass": "left to the model",
    "failed": "without an answer",
}
Rows = list[tuple[str, str]]


def traffic(figures: Figures, seconds: float | None = None) -> Rows:
    """Return what requests came and how they were answered; `seconds`: within those."""
    rate = figures.hit_rate
    rows = [("hit rate", UNKNOWN if rate is None else f"{rate:.1%}")]
    if seconds:
        rows.append(("requests", f"{figures.requests / seconds:,.2f} per second"))
    else:
        rows.append(("requests", f"{figures.requests:,.0f}"))
    for name, words in _OUTCOMES.items():
        if figures.outcomes.get(name):
            rows.append((words, f"{figures.outcomes[name]:,.0f}"))
    return rows


def latency(figures: Figures) -> Rows:
    """Return how long look-ups and waits took."""
    return [
        ("look-up, half within", _ms(quantile(figures.lookup, 0.5))),
        ("look-up, 95 % within", _ms(quantile(figures.lookup, 0.95))),
        ("wait in the queue, 95 % within", _ms(quantile(figures.wait, 0.95))),
    ]


def queue(figures: Figures) -> Rows:
    """Return how busy the servers are."""
    rows = [
        ("waiting", _count(figures.waiting)),
        ("in flight", _count(figures.in_flight)),
        ("slots", _count(figures.slots)),
    ]
    if figures.breaker_open is not None:
        shown = "left alone after failures" if figures.breaker_open else "in use"
        rows.append(("Redis and embedder", shown))
    return rows


def saved(figures: Figures) -> Rows:
    """Return what the model did not have to do."""
    seconds = figures.saved_s
    return [
        ("time of the model", UNKNOWN if seconds is None else ago(seconds)),
        ("tokens", _count(figures.saved_tokens)),
        ("hits found wrong", _count(figures.wrong_hits)),
    ]


def stored(stock: Stock, memory: Memory | None, now_ms: int) -> Rows:
    """Return what Redis holds."""
    more = "" if stock.complete else " so far"
    rows = [
        ("entries", f"{stock.entries:,}{more}"),
        ("found by rewording", f"{stock.reworded:,}{more}"),
        ("size of the answers", f"{mib(stock.answer_bytes)}{more}"),
    ]
    if stock.oldest_ms is not None:
        rows.append(("oldest", f"{ago(max(0.0, (now_ms - stock.oldest_ms) / 1000))} ago"))
    if stock.hits is None:
        rows.append(("hits of these", f"{UNKNOWN}: nothing counts them"))
    else:
        rows.append(("hits of these", f"{stock.hits:,}{more}"))
        rows.append(("time they saved", f"{ago((stock.saved_ms or 0) / 1000)}{more}"))
    if memory is not None and memory.used is not None:
        most = "" if memory.most is None else f" of {mib(memory.most)}"
        rows.append(("Redis in all", f"{mib(memory.used)}{most}"))
        if memory.evicted:
            rows.append(("evicted", f"{memory.evicted:,} keys: Redis is full"))
    return rows


def mib(size: float) -> str:
    """Return a size in MiB or GiB."""
    return f"{size / 2**30:,.2f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.1f} ms"


def _count(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"
