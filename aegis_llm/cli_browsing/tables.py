"""Entries and counts as tables that fit a narrow terminal, without colour too."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from aegis_llm.browsing import Seen, Stock
from aegis_llm.explanation.words import ago, shown

UNKNOWN = "unknown"
_NARROW = 60


def listed(entries: Iterable[Seen], now_ms: int, width: int) -> Table:
    """Return entries as rows; where the terminal is narrow, the text stands below the rest."""
    if width < _NARROW:
        return _narrow(entries, now_ms)
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("entry", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("hits", justify="right", no_wrap=True)
    table.add_column("question and answer", overflow="fold")
    for one in entries:
        table.add_row(
            one.entry_id[:12],
            age(now_ms - one.entry.created_ms),
            _hits(one),
            _texts(one),
        )
    return table


def _narrow(entries: Iterable[Seen], now_ms: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 0, 1, 0))
    table.add_column(overflow="fold")
    for one in entries:
        facts = f"{one.entry_id[:12]}  {age(now_ms - one.entry.created_ms)}  {_hits(one)} hits\n"
        table.add_row(Text.assemble((facts, "dim"), _texts(one)))
    return table


def _hits(one: Seen) -> str:
    return "?" if one.hits is None else f"{one.hits:,}"


def _texts(one: Seen) -> Text:
    return Text.assemble(
        (shown(one.entry.question or "(no question kept)", 100), "bold"),
        "\n",
        shown(one.entry.answer.text or "(no text)", 120),
    )


def told(one: Seen, now_ms: int) -> Table:
    """Return one entry with all that is known of it."""
    entry = one.entry
    rows = {
        "entry": one.entry_id,
        "question": shown(entry.question or "(none kept)", 4000),
        "answer": shown(entry.answer.text or "(no text)", 8000),
        "model": shown(entry.model),
        "made": f"{moment(entry.created_ms)}, {age(now_ms - entry.created_ms)} ago",
        "expires": UNKNOWN if one.ttl_ms is None else f"in {age(one.ttl_ms)}",
        "hits": UNKNOWN if one.hits is None else f"{one.hits:,}",
        "last used": UNKNOWN if one.used_ms is None else f"{age(now_ms - one.used_ms)} ago",
        "documents": ", ".join(shown(each) for each in entry.documents) or "none",
        "tags": ", ".join(shown(each) for each in entry.tags) or "none",
        "took": f"{entry.answer.duration_ms / 1000:,.1f} s to make",
        "size": f"{one.size:,} bytes",
        "key": shown(one.key, 300),
    }
    if one.reworded_only:
        rows["answers"] = "reworded questions; Redis has lost what answers an identical request"
    return pairs(rows)


def counted(stock: Stock, now_ms: int) -> Table:
    """Return the counts of a namespace."""
    rows = {
        "entries": f"{stock.entries:,}",
        "found by rewording": f"{stock.reworded:,}",
        "vectors of texts": f"{stock.vectors:,}",
        "size of the answers": f"{stock.answer_bytes / 1024 / 1024:,.1f} MiB",
        "oldest": UNKNOWN if stock.oldest_ms is None else f"{age(now_ms - stock.oldest_ms)} ago",
        "newest": UNKNOWN if stock.newest_ms is None else f"{age(now_ms - stock.newest_ms)} ago",
    }
    if stock.hits is None:
        rows["hits"] = f"{UNKNOWN}: no process counts them here"
    else:
        rows["hits of these"] = f"{stock.hits:,} by {stock.used or 0:,} entries"
        share = stock.answered_by_entries
        rows["answered by them"] = UNKNOWN if share is None else f"{share:.0%} of their requests"
        rows["saved by them"] = (
            f"{age(stock.saved_ms or 0)} of model time, {stock.saved_tokens or 0:,} tokens"
        )
    for name, count in list(stock.models.items())[:10]:
        rows[f"model {shown(name or UNKNOWN, 40)}"] = f"{count:,}"
    return pairs(rows)


def pairs(rows: dict[str, str]) -> Table:
    """Return names and values side by side."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table


def age(milliseconds: float) -> str:
    """Return a length of time in one number and its unit."""
    return ago(max(0.0, milliseconds / 1000))


def moment(at_ms: int) -> str:
    """Return a time in the time zone of this machine."""
    when = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).astimezone()
    return when.strftime("%Y-%m-%d %H:%M:%S %Z")
