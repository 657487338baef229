"""`aegis-llm cache`: what a namespace holds, listed, shown and removed."""

from __future__ import annotations

import time
from collections import deque
from typing import Annotated

import typer

from aegis_llm.cli_browsing import tables
from aegis_llm.cli_browsing.moving import export, take_in
from aegis_llm.cli_browsing.parts import (
    AsJson,
    Yes,
    agree,
    browsing,
    print_json,
    say,
    to_the_end,
    where,
)
from aegis_llm.cli_options import Namespace, RedisUrl
from aegis_llm.cli_parts import console, refuse
from aegis_llm.names import names_given

EntryId = Annotated[str, typer.Argument(help="The entry_id, or its first eight digits or more.")]
_PATIENCE_S = 5.0


def add_to(app: typer.Typer) -> None:
    """Add `cache` with its commands."""
    cache = typer.Typer(no_args_is_help=True, help="Look at what is cached, move it, remove it.")
    cache.command()(stats)
    cache.command("list")(list_entries)
    cache.command()(show)
    cache.command()(invalidate)
    cache.command()(export)
    cache.command("import")(take_in)
    cache.command()(clear)
    app.add_typer(cache, name="cache")


def stats(
    redis_url: RedisUrl = None, namespace: Namespace = None, as_json: AsJson = False
) -> None:
    """Count what a namespace holds, what its entries answered, and what that saved."""
    with browsing(redis_url, namespace) as browser:
        (stock,) = deque(browser.stock(), maxlen=1)
        labels = browser.labels()
        if as_json:
            print_json({"v": 1, "namespace": browser.namespace, "stock": stock, "labels": labels})
            return
        say(f"Namespace {where(browser)}")
        console.print(tables.counted(stock, _now_ms()))
        told = f"right {labels.right:,}, wrong {labels.wrong:,}" if labels else "may not be read"
        say(f"checked hits by meaning: {told}")


def list_entries(
    search: Annotated[
        str, typer.Option(help="Words of the question, doc:ID, tag:NAME or model:NAME.")
    ] = "",
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Look at every entry, and at answers, too.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Entries to show.")] = 20,
    page: Annotated[str, typer.Option(help="The page that a list before named.")] = "",
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """List entries: newest first where Redis has the Query Engine, else in no order."""
    with browsing(redis_url, namespace) as browser:
        found = browser.search(search, page, limit, everywhere=everywhere, within_s=_PATIENCE_S)
        entries, looked = list(found.entries), found.looked
        while found.next and len(entries) < limit and not entries:
            found = browser.search(
                search, found.next, limit, everywhere=everywhere, within_s=_PATIENCE_S
            )
            entries += found.entries
            looked += found.looked
    if as_json:
        told = {"v": 1, "entries": [one.plain() for one in entries], "next": found.next}
        print_json(told | {"via": found.via, "total": found.total})
        return
    if not entries:
        nothing = "Nothing is found." if search else "Nothing is cached there."
        say("No more entries." if page else nothing)
        return
    console.print(tables.listed(entries, _now_ms(), console.width))
    total = "" if found.total is None else f" of {found.total:,}"
    more = f"; more: --page {found.next}" if found.next else ""
    say(f"{len(entries):,} entries{total}, {_order(found.via)}{more}")
    if found.via == "search":
        say("Those that answer exact repeats only are not in the index: --everywhere lists all.")


def show(
    entry: EntryId,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    as_json: AsJson = False,
) -> None:
    """Show one entry whole."""
    with browsing(redis_url, namespace) as browser:
        found = browser.show(entry)
    if found is None:
        refuse(f"There is no entry {entry[:70]!r}; give its id, or eight digits of it or more.")
    if as_json:
        print_json({"v": 1, **found.plain()})
        return
    console.print(tables.told(found, _now_ms()))


def invalidate(
    document: Annotated[list[str] | None, typer.Option(help="Id of a document.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag.")] = None,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    yes: Yes = False,
) -> None:
    """Remove the answers made from documents or stored with tags, in every process.

    Each option may be given several times.
    """
    documents, tags = document or [], tag or []
    with browsing(redis_url, namespace) as browser:
        names_given(documents, tags, everything=False)
        named = ", ".join([*documents, *tags])
        agree(f"Remove the answers of {named} from {where(browser)}?", yes=yes)
        removed = browser.invalidate(documents, tags)
    say(f"{removed} {'answer' if removed == 1 else 'answers'} removed.")


def clear(redis_url: RedisUrl = None, namespace: Namespace = None, yes: Yes = False) -> None:
    """Delete all that is cached in a namespace: answers and vectors, in every process."""
    with browsing(redis_url, namespace) as browser:
        agree(f"Delete everything that is cached in {where(browser)}?", yes=yes)
        with to_the_end("It may be deleted in part or not at all; do it again."):
            browser.clear()
        say(f"Everything that was cached in {where(browser)} is deleted.")


def _order(via: str) -> str:
    return "newest first" if via == "search" else "in no order"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
