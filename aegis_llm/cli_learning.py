"""`aegis-llm reject` and `aegis-llm labels`: taking back an answer, and what the labels say."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from aegis_llm.cli_options import Namespace, RedisUrl
from aegis_llm.config import AegisConfig
from aegis_llm.rejecting import Rejected
from aegis_llm.service import Service
from aegis_llm.wiring import build

console = Console()
_PATIENT = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000}
_READY_S = 5.0


def reject(
    entry: Annotated[str, typer.Argument(help="The entry_id that an answer's metadata shows.")],
    asked: Annotated[
        str | None, typer.Option(help="The question that it wrongly answered.")
    ] = None,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
) -> None:
    """Remove an entry that gave a wrong answer; with --asked, also never pair these two again."""
    service = _service(redis_url, namespace)
    try:
        found = service.reject(Rejected(entry, asked=asked))
        service.learner.notebook.write()  # nothing is written after the end of the command
    finally:
        service.store.close()
    if not found:
        console.print(
            f"There is no entry {entry!r} in the namespace "
            f"{service.rules.cache.namespace!r}; its id has 64 digits, all of them are needed.",
            style="red",
        )
        raise typer.Exit(1)
    console.print("Removed. Other processes may answer from their copies for half a minute.")


def labels(redis_url: RedisUrl = None, namespace: Namespace = None) -> None:
    """Show how many checked hits by meaning were right and wrong, and whether the alarm is on."""
    service = _service(redis_url, namespace)
    try:
        service.learner.notebook.read()
    finally:
        service.store.close()
    told = service.labels()
    console.print(f"right {told.right}, wrong {told.wrong}; expected wrong {told.expected:.1%}")
    window = told.window
    console.print(
        f"last {window.total} drawn blindly: {window.wrong} wrong, "
        f"so between {told.lower:.1%} and {told.upper:.1%} (promised {told.promised:.1%})"
    )
    if told.drift:
        console.print("The alarm is on: only exact repeats are served.", style="red")


def _service(redis_url: str | None, namespace: str | None) -> Service:
    config = AegisConfig.from_env().with_options(**_PATIENT)
    given = {"redis_url": redis_url, "namespace": namespace}
    config = config.with_options(**{k: v for k, v in given.items() if v is not None})
    service = build(config)
    service.store.ready(_READY_S)
    return service
