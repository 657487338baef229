"""`aegis-llm ui`: the local page."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from aegis_llm.cli_browsing.parts import (
    Metrics,
    browsing,
    config_of,
    say,
    where,
)
from aegis_llm.cli_browsing.top import source_of
from aegis_llm.cli_options import (
    DEFAULT_EMBEDDING_MODEL,
    CalibrationFile,
    EmbeddingId,
    EmbeddingModel,
    HowSure,
    Namespace,
    OllamaUrl,
    RedisUrl,
    Whose,
)
from aegis_llm.cli_parts import OllamaEmbedder
from aegis_llm.errors import MissingExtraError

_NEEDED = ("starlette", "jinja2", "uvicorn")


def ui(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8484,
    metrics: Metrics = None,
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    embedding_model: EmbeddingModel = DEFAULT_EMBEDDING_MODEL,
    framework: Whose = "langchain",
    embedding_id: EmbeddingId = None,
    ollama_url: OllamaUrl = None,
    matching: HowSure = "strict",
    calibration: CalibrationFile = None,
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
