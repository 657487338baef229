"""`aegis-llm ui`: the local page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from aegis_llm.cli_browsing.parts import (
    Metrics,
    Namespace,
    RedisUrl,
    browsing,
    config_of,
    say,
    where,
)
from aegis_llm.cli_browsing.top import source_of
from aegis_llm.cli_parts import Framework, OllamaEmbedder
from aegis_llm.config import Matching
from aegis_llm.errors import MissingExtraError

_NEEDED = ("starlette", "jinja2", "uvicorn")


def ui(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8484,
    metrics: Metrics = None,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    embedding_model: Annotated[str, typer.Option(help="That the entries were made with.")] = (
        "all-minilm"
    ),
    framework: Annotated[
        Framework, typer.Option(help="Whose entries: each names its embedder in its own way.")
    ] = "langchain",
    embedding_id: Annotated[
        str | None, typer.Option(help="The embedder's name in the index, if it was given one.")
    ] = None,
    ollama_url: Annotated[str | None, typer.Option(help="Else OLLAMA_HOST.")] = None,
    matching: Annotated[Matching, typer.Option(help="How sure a hit has to be.")] = "strict",
    calibration: Annotated[str | None, typer.Option(help="A file of `calibrate`.")] = None,
) -> None:
    """Serve a page on this machine that shows how the cache does and what it holds.

    It listens on 127.0.0.1 alone, and opens with the link that is printed, once. Ctrl-C ends it.
    """
    with browsing(redis_url, namespace) as browser:
        if not all(map(find_spec, _NEEDED)):
            raise MissingExtraError("aegis-llm ui", "ui")
        from aegis_llm.ui.serving import Page
        from aegis_llm.ui.trying import Trying

        config = config_of(redis_url, namespace)
        config = config.with_options(matching=matching, calibration=calibration)
        source = source_of(metrics)
        with OllamaEmbedder(embedding_model, ollama_url, framework, embedding_id) as embedder:
            trying = Trying(config, embedder)
            try:
                page = Page(browser, source, trying, port)
                say(f"Namespace {where(browser)}. Open this link, it works once:")
                typer.echo(page.url)
                page.run()
            finally:
                trying.close()
