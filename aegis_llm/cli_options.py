"""Options that several commands take, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from aegis_llm.cli_parts import Framework
from aegis_llm.config import Matching

RedisUrl = Annotated[
    str | None, typer.Option(help="Else AEGIS_REDIS_URL, else the Redis on localhost:6379.")
]
Namespace = Annotated[str | None, typer.Option(help="Else AEGIS_NAMESPACE, else default.")]
EmbeddingModel = Annotated[
    str, typer.Option(help="That the entries were made with, on the Ollama of --ollama-url.")
]
Whose = Annotated[
    Framework, typer.Option(help="Whose entries: each names its embedder in its own way.")
]
EmbeddingId = Annotated[
    str | None, typer.Option(help="The embedder's name in the index, if it was given one.")
]
OllamaUrl = Annotated[str | None, typer.Option(help="Else OLLAMA_HOST.")]
HowSure = Annotated[Matching, typer.Option(help="How sure a hit has to be.")]
CalibrationFile = Annotated[str | None, typer.Option(help="A file of `calibrate`.")]
DEFAULT_EMBEDDING_MODEL = "all-minilm"
