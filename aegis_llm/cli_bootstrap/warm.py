"""`aegis-llm warm`: loads models and fills prefixes before the traffic comes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.table import Table

from aegis_llm.bootstrap.warming import Warmed, WarmedRedis, WarmedServer, bootstrap
from aegis_llm.cli_bootstrap import exits
from aegis_llm.cli_options import Namespace, RedisUrl
from aegis_llm.cli_parts import NAMES, Framework, console, refuse, sentences
from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError

_GIB = 1 << 30


def warm(
    models: Annotated[str, typer.Option(help="Models that chat: llama3.1:8b,qwen3:8b.")] = "",
    embed_model: Annotated[
        str | None, typer.Option(help="The embedding model, nomic-embed-text.")
    ] = None,
    url: Annotated[
        list[str] | None, typer.Option(help="An Ollama, else OLLAMA_HOST; may be given again.")
    ] = None,
    num_ctx: Annotated[
        int | None, typer.Option(help="As your requests send it; leave it out if they do not.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="Another option that they send, num_thread=8; may be given again."),
    ] = None,
    keep_alive: Annotated[
        str | None, typer.Option(help="How long models stay: 30m; -1m for ever.")
    ] = None,
    prefix_file: Annotated[
        list[Path] | None,
        typer.Option(help="A system prompt that requests share; may be given again."),
    ] = None,
    num_parallel: Annotated[
        int | None, typer.Option(help="Slots to fill with it, else four.")
    ] = None,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    redis: Annotated[bool, typer.Option(help="Look at Redis and make the index.")] = True,
    framework: Annotated[
        Framework, typer.Option(help="Whose index; each names the embedder in its own way.")
    ] = "langchain",
    verify: Annotated[
        bool, typer.Option(help="Send a short request, to see that it loads nothing.")
    ] = True,
    timeout: Annotated[float, typer.Option(help="Seconds for all of it.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load models as your requests want them, so that the first request waits for nothing.

    Exit status: 0 when all is warm, 1 when something could not be done (no Ollama, a model that is
    missing), 2 when something that was given is not usable, 3 when all was done and something is
    not as it should be (a model partly on the CPU, no Redis).
    """
    if not models and embed_model is None:
        refuse("there is nothing to warm; give --models or --embed-model.")
    try:
        config = AegisConfig.from_env().cache
        settings: dict[str, Any] = {
            "url": url or None,
            "models": [name.strip() for name in models.split(",") if name.strip()],
            "options": {**_options(option or ()), **({"num_ctx": num_ctx} if num_ctx else {})},
            "prefixes": [_text(path) for path in prefix_file or ()],
            "keep_alive": keep_alive,
            "embed_model": embed_model,
            "embedding_id": NAMES[framework].format(embed_model) if embed_model else None,
            "redis_url": (redis_url or config.redis_url) if redis else False,
            "namespace": namespace or config.namespace,
            "num_parallel": num_parallel,
            "verify": verify,
            "timeout_s": timeout,
        }
        with sentences():
            warmed = _warmed(settings)
    except ConfigError as exc:
        refuse(_sentence(exc))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(warmed), indent=2).decode())
    else:
        show(warmed)
    if not warmed.ok:
        raise typer.Exit(exits.FAILED if warmed.failed else exits.NOT_SO)


def _warmed(settings: dict[str, Any]) -> Warmed:
    try:
        return bootstrap(**settings)
    except ConfigError as exc:
        refuse(_sentence(exc))


def show(warmed: Warmed) -> None:
    """Print what was done, and what to do."""
    for server in warmed.servers:
        version = f", Ollama {server.version}" if server.version else ""
        _line(f"{server.url}{version}")
        if server.models:
            console.print(_models(server))
        for one in server.prefixes:
            if one.tokens:
                _line(
                    f"  prefix {one.prefix}: {one.tokens:,} tokens, {_slots(one.read, one.sent)},"
                    f" {one.seconds:.1f} s"
                )
    if warmed.redis is not None and not warmed.redis.problem:
        _line(_redis(warmed.redis))
    for said in (*warmed.notes, *_notes(warmed)):
        console.print(f"- {said}", style="dim", markup=False, highlight=False)
    for said in warmed.problems:
        console.print(f"! {said}", style="yellow", markup=False, highlight=False)
    _line(f"{'Warm' if warmed.ok else 'Not all is warm'} after {warmed.seconds:.1f} s.")


def _models(server: WarmedServer) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("model")
    table.add_column("state", no_wrap=True)
    for column in ("load", "next", "context", "memory", "GPU"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in server.models:
        colour = "red" if one.state in ("missing", "failed") else "green"
        table.add_row(
            one.name,
            f"[{colour}]{one.state}[/{colour}]",
            "" if one.load_s is None else f"{one.load_s:.2f} s",
            "" if one.again_s is None else f"{one.again_s * 1000:,.0f} ms",
            f"{one.context:,}" if one.context else "",
            f"{one.size / _GIB:.2f} GiB" if one.size else "",
            f"{one.size_vram / one.size:.0%}" if one.size else "",
        )
    return table


def _slots(read: int, sent: int) -> str:
    if not read:
        return f"found by all {sent} requests"
    found = f", found by {sent - read}" if sent > read else ""
    return f"read by {read} slot{'s' if read > 1 else ''}{found}"


def _redis(redis: WarmedRedis) -> str:
    version = f"Redis {redis.version}" if redis.version else "Redis"
    search = {True: "with search", False: "no search", None: "search unknown"}[redis.search]
    ping = "" if redis.ping_ms is None else f", ping {redis.ping_ms:.2f} ms"
    index = {"created": ", index made", "already": ", index there"}.get(redis.index, "")
    return f"{redis.url}, {version}, {search}{ping}{index}"


def _notes(warmed: Warmed) -> list[str]:
    notes = [f"{m.name}: {m.note}" for s in warmed.servers for m in s.models if m.note]
    if warmed.redis is not None and warmed.redis.note:
        notes.append(warmed.redis.note)
    return notes


def _options(given: list[str] | tuple[str, ...]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for one in given:
        name, is_there, value = one.partition("=")
        if not is_there:
            refuse(f"--option {one!r} is not usable; write NAME=VALUE, num_thread=8.")
        try:
            options[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            options[name] = value
    return options


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        refuse(f"{path} cannot be read: {exc.strerror}.")
    except UnicodeDecodeError:
        refuse(f"{path} is no text in UTF-8.")


def _sentence(exc: ConfigError) -> str:
    text = str(exc)
    return text if text.endswith("?") else f"{text}."


def _line(text: str) -> None:
    console.print(text, markup=False, highlight=False)
