"""`aegis-llm top`: how it goes, in the terminal."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
import typer
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aegis_llm.browsing import words
from aegis_llm.browsing.endpoint import Source, endpoint, here
from aegis_llm.browsing.overview import Overview, View
from aegis_llm.cli_browsing.parts import (
    AsJson,
    Metrics,
    browsing,
    print_json,
    where,
)
from aegis_llm.cli_options import Namespace, RedisUrl
from aegis_llm.cli_parts import console, refuse
from aegis_llm.errors import ConfigError
from aegis_llm.explanation.words import in_words

_COUNT_S = 600.0
NO_METRICS = (
    "Hit rate, latency and queue are counted by the processes that serve: give --metrics "
    "http://HOST:PORT/metrics of one (aegis_llm.metrics.start_http_server shows it there)."
)


def top(
    metrics: Metrics = None,
    interval: Annotated[float, typer.Option(min=0.2, max=3600, help="Seconds between.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once and stop.")] = False,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show hit rate, latency, queue, slots, what is saved, and what Redis holds, as it goes.

    Without a terminal it shows it once. Ctrl-C ends it. Exit status: 1 when Redis does not answer
    a single look.
    """
    with browsing(redis_url, namespace) as browser:
        overview = Overview(browser, source_of(metrics))
        if once or as_json or not console.is_terminal:
            overview.look()
            overview.stocktaking.wait(_COUNT_S)
            view = overview.look()
            if as_json:
                print_json({"v": 1, "namespace": browser.namespace, **msgspec.to_builtins(view)})
            else:
                console.print(shown(view, where(browser)))
            if view.redis_trouble:
                raise typer.Exit(1)
            return
        with Live(console=console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(shown(overview.look(), where(browser)), refresh=True)
                    time.sleep(interval)
            except KeyboardInterrupt:
                return


def source_of(metrics: str | None) -> Source:
    """Return where figures come from: the endpoint that was given, else this process."""
    if metrics is None:
        return here
    try:
        return endpoint(metrics)
    except ConfigError as exc:
        refuse(f"{exc}.")


def shown(view: View, place: str) -> RenderableType:
    """Return a look for the terminal; the parts stand side by side where there is room."""
    head = Text(f"{place}, {time.strftime('%H:%M:%S')}", "dim", overflow="fold")
    parts: list[RenderableType] = []
    figures = view.figures
    if figures is not None:
        if view.lately is not None:
            rows = words.traffic(view.lately, view.recent_s)
            parts.append(_part(f"last {view.recent_s:.0f} s", rows))
        parts.append(_part("since the processes began", words.traffic(figures)))
        parts.append(_part("latency", words.latency(view.lately or figures)))
        parts.append(_part("queue and slots", words.queue(figures)))
        parts.append(_part("saved", words.saved(figures)))
    notes = [Text(view.no_figures or NO_METRICS, "yellow")] if figures is None else []
    if view.redis_trouble:
        told = f"{view.redis_trouble}: {in_words(view.redis_trouble)}"
        notes.append(Text(told, "bold red"))
    elif view.stock is None:
        notes.append(Text("Counting what Redis holds ...", "dim"))
    else:
        rows = words.stored(view.stock, view.memory, time.time_ns() // 1_000_000)
        parts.append(_part("in Redis", rows))
    return Group(head, "", Columns(parts, padding=(1, 4)), *notes)


def _part(title: str, rows: words.Rows) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False,
        pad_edge=False,
    )  # fmt: skip
    table.add_column(overflow="fold")
    table.add_column(justify="right", overflow="fold")
    for name, value in rows:
        table.add_row(Text(name, "dim"), Text(value))
    return table
