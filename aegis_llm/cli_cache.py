"""Commands of `aegis-llm` that change what is cached."""

from __future__ import annotations

import typer
from rich.console import Console

from aegis_llm import cli_browsing
from aegis_llm.config import AegisConfig, safe_url
from aegis_llm.errors import ConfigError
from aegis_llm.wiring import build

console = Console()
_DOCUMENTS = typer.Option([], "--document", help="Id of a document; may be given several times.")
_TAGS = typer.Option([], "--tag", help="A tag; may be given several times.")
_ALL = typer.Option(False, "--all", help="Part from the whole namespace at once.")
_URL = typer.Option("", "--redis-url", help="Where the answers are; else AEGIS_REDIS_URL.")
_NAMESPACE = typer.Option("", "--namespace", help="Whose answers; else AEGIS_NAMESPACE.")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(invalidate)
    cli_browsing.add_to(app)


def invalidate(
    document: list[str] = _DOCUMENTS,
    tag: list[str] = _TAGS,
    everything: bool = _ALL,
    redis_url: str = _URL,
    namespace: str = _NAMESPACE,
) -> None:
    """Remove the answers made from a document or stored with a tag, in every process."""
    config = AegisConfig.from_env()
    given = {"redis_url": redis_url, "namespace": namespace}
    config = config.with_options(**{name: value for name, value in given.items() if value})
    if config.cache.redis_url.startswith("memory://"):
        msg = "memory:// lives in its own process; call invalidate() there"
        raise ConfigError(msg)
    service = build(config)
    try:
        removed = service.invalidate(document, tag, everything=everything)
    finally:
        service.store.close()
    where = f"of {config.cache.namespace} at {safe_url(config.cache.redis_url)}"
    if everything:
        console.print(f"All answers {where} are invalid now.", highlight=False)
    else:
        answers = "answer" if removed == 1 else "answers"
        console.print(f"{removed} {answers} {where} removed.", highlight=False)
