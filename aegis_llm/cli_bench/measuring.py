"""What `aegis-llm bench` does: look, measure, write down; whatever ends it."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import aegis_llm
from aegis_llm.bench.caching import trouble
from aegis_llm.bench.machine import embedding_model, has, machine_of, model_of
from aegis_llm.bench.plan import Speed, cost
from aegis_llm.bench.results import Results, encode, results
from aegis_llm.bench.running import StoppedError, Tell
from aegis_llm.bench.session import Job, measure
from aegis_llm.bench.shown import seconds
from aegis_llm.bench.values import Recorded, Settings
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing import probe
from aegis_llm.bootstrap.probing.machine import is_local
from aegis_llm.bootstrap.verifying import chosen_model
from aegis_llm.cli_bench.files import place, written
from aegis_llm.cli_bench.show import effects, line, show_results
from aegis_llm.cli_bootstrap import exits
from aegis_llm.cli_parts import OllamaEmbedder, aside, refuse
from aegis_llm.config import AegisConfig, safe_url
from aegis_llm.errors import AegisError, ConfigError

_INTERRUPTED = 130
_SOME = 0.02


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked for on the command line."""

    settings: Settings
    url: str | None = None
    redis_url: str | None = None
    embed_model: str | None = None
    timeout_s: float = 600.0
    out: Path | None = None
    force: bool = False
    as_json: bool = False


def measured(wanted: Wanted, console: Console) -> int:
    """Measure, write the results and show them; return the exit status."""
    facts = _looked(wanted)
    settings = _settled(wanted, facts)
    stem = place(wanted.out, settings.model, force=wanted.force)
    recorded = Recorded(
        settings=settings,
        run=secrets.token_hex(8),
        begun=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    url = wanted.url or os.environ.get("OLLAMA_HOST") or facts.ollama.url
    status = exits.OK
    with _cache(wanted, recorded) as (config, redis_url):
        embedder = _embedder(wanted, facts, url, recorded) if config is not None else None
        recorded.model = model_of(
            facts, settings.model, None if embedder is None else embedder.model
        )
        where = None if config is None else wanted.redis_url or config.cache.redis_url
        recorded.machine = machine_of(
            facts,
            package=aegis_llm.__version__,
            python=platform.python_version(),
            redis=where and _named(where, wanted.redis_url),
        )
        if not wanted.as_json:
            for said in effects(settings):
                line(f"- {said}")
        with _progress(console, recorded, quiet=wanted.as_json) as (tell, told):
            job = Job(
                url=url, config=config, embedder=embedder, redis_url=redis_url,
                here=is_local(urlsplit(facts.ollama.url).hostname or ""),
                timeout_s=wanted.timeout_s, tell=tell, told=told,
            )  # fmt: skip
            try:
                asyncio.run(measure(recorded, job))
            except KeyboardInterrupt:
                recorded.partial = "stopped by Ctrl-C"
                status = _INTERRUPTED
            except StoppedError as exc:
                recorded.partial = str(exc)
    if not recorded.sent:
        said = f"Nothing was measured: {recorded.partial or 'no phase was left'}."
        (aside if wanted.as_json else console).print(said, style="red", markup=False)
        return status or exits.FAILED
    with _undisturbed():
        recorded.model = _with_context(recorded, url)
        found = _checked(results(recorded))
        stem = written(found, stem)
    if wanted.as_json:
        typer.echo(encode(found).decode())
    else:
        show_results(found)
        line(f"Written: {stem}.json, {stem}.md and {stem}.html")
    return status or (exits.NOT_SO if found.partial else exits.OK)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let no further Ctrl-C come between: who presses it twice wants what was measured, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _named(where: str, wanted: str | None) -> str:
    """Return how a report calls the Redis; the socket of a private one says nothing."""
    private = where.startswith(("unix://", "embedded://")) and where != wanted
    return "a private Redis" if private else safe_url(where)


def _looked(wanted: Wanted) -> Facts:
    try:
        facts = probe(wanted.url)
    except ConfigError as exc:
        refuse(f"{exc}.")
    if not facts.ollama.running:
        msg = f"no Ollama answers at {facts.ollama.url}; start it, or give --url"
        raise AegisError(msg)
    return facts


def _settled(wanted: Wanted, facts: Facts) -> Settings:
    """Return the settings with a model, or stop when the server has none to ask."""
    name = chosen_model(facts, wanted.settings.model or None)
    if name is None:
        msg = f"{facts.ollama.url} has no model that answers; `ollama pull llama3.1:8b`"
        raise AegisError(msg)
    if not has(facts, name):
        listed = ", ".join(one.name for one in facts.models) or "none"
        refuse(f"{facts.ollama.url} has no model {name!r}; it has: {listed}.")
    return msgspec.structs.replace(wanted.settings, model=name)


@contextmanager
def _cache(wanted: Wanted, recorded: Recorded) -> Iterator[tuple[AegisConfig | None, str | None]]:
    """Yield the settings of the cache, and the Redis whose memory can be looked at."""
    if not wanted.settings.cache and wanted.settings.ways == ("around",):
        yield None, None
        return
    url, release = _redis(wanted, recorded)
    try:
        config = AegisConfig.from_env().with_options(redis_url=url)
    except ConfigError as exc:
        release()
        refuse(f"{exc}.")
    try:
        yield config, url if url.startswith(("redis", "unix")) else None
    finally:
        release()


def _redis(wanted: Wanted, recorded: Recorded) -> tuple[str, Callable[[], None]]:
    url = wanted.redis_url or os.environ.get("AEGIS_REDIS_URL") or ""
    if url and not url.startswith("embedded://"):
        return url, lambda: None
    try:
        from aegis_llm.stores.embedded import EmbeddedRedis, available

        why = available(url or "embedded://")
        if why is None:
            private = EmbeddedRedis(url or "embedded://")
            address = private.ensure()
            if not url:
                recorded.notes.append("Redis: a private one on this machine (embedded://)")
            return address, private.release
    except ImportError:
        why = "a private Redis needs Linux or macOS"
    except AegisError as exc:
        why = str(exc)
    recorded.notes.append(f"Redis: none, entries were in this process (memory://): {why}")
    return "memory://", lambda: None


def _embedder(wanted: Wanted, facts: Facts, url: str, recorded: Recorded) -> OllamaEmbedder | None:
    name = wanted.embed_model or embedding_model(facts)
    if name is None:
        recorded.notes.append(
            "The server has no embedding model: rewordings could not hit; `ollama pull all-minilm`"
        )
        return None
    if not has(facts, name):
        refuse(f"{facts.ollama.url} has no embedding model {name!r}; `ollama pull {name}`.")
    return OllamaEmbedder(name, url)


@contextmanager
def _progress(
    console: Console, recorded: Recorded, *, quiet: bool
) -> Iterator[tuple[Tell, Callable[[Speed], None]]]:
    """Show a bar where there is a terminal, and nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/"
               "{task.total:.0f}"), TimeElapsedColumn())  # fmt: skip
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("warm-up", total=1)

        def tell(number: int, count: int, name: str) -> None:
            progress.update(task, completed=number, total=count, description=name)

        def told(speed: Speed) -> None:
            if not quiet:
                whole = cost(recorded.phases, recorded.settings, speed)
                took = f"about {seconds(whole.seconds)} at the speed of the first ones"
                line(f"{whole.requests:,} requests: {took}, less with several slots.")

        yield tell, told


def _with_context(recorded: Recorded, url: str) -> Any:
    """Return the model with the context that it was loaded with, which is known only now."""
    try:
        facts = probe(url, models=(recorded.settings.model,))
    except ConfigError:
        return recorded.model
    context = model_of(facts, recorded.settings.model).context or recorded.model.context
    return msgspec.structs.replace(recorded.model, context=context)


def _checked(found: Results) -> Results:
    """Return the results, marked where the cache failed on the way.

    A look-up that was too slow here and there, on a busy machine, is told and spoils nothing.
    """
    troubles = Counter(why for one in found.requests if (why := trouble(one)))
    if not troubles:
        return found
    listed = ", ".join(f"{why} {number}" for why, number in troubles.items())
    said = f"the cache failed at some requests ({listed})"
    through = sum(bool(one.outcome) for one in found.requests)
    if found.partial or sum(troubles.values()) <= _SOME * through:
        return msgspec.structs.replace(found, notes=(*found.notes, f"{said}: answered without it"))
    return msgspec.structs.replace(found, partial=said)
