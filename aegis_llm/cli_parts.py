"""What several commands share: sentences instead of tracebacks, and the embedding model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NoReturn, Self

import httpx
import numpy as np
import ollama
import typer
from rich.console import Console

from aegis_llm.bootstrap.probing.server import login_of
from aegis_llm.config import safe_url
from aegis_llm.errors import AegisError, EmbedTrouble
from aegis_llm.explanation.words import printable
from aegis_llm.keys import normal_model

Framework = Literal["langchain", "llama-index"]
NAMES = {
    "langchain": "OllamaEmbeddings model={}",
    "llama-index": "OllamaEmbedding model_name={}",
}
_TIMEOUT_S = 60.0
console = Console()
aside = Console(stderr=True)
"""What is not the result: whoever sends that to a file or a program sees it still."""


def flow_help(app: typer.Typer) -> None:
    """Let the help of all commands break its lines where the terminal ends.

    Typer keeps the line breaks of a docstring in all but its first paragraph.
    """
    for command in app.registered_commands:
        command.help = _flowed(command.help or inspect.getdoc(command.callback) or "")
    for inner in app.registered_groups:
        if (group := inner.typer_instance) is not None:
            if isinstance(group.info.help, str):
                group.info.help = _flowed(inspect.cleandoc(group.info.help))
            flow_help(group)


def _flowed(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def refuse(sentence: str) -> NoReturn:
    """Show what is wrong with what was given, and stop."""
    tell_wrong(sentence)
    raise typer.Exit(2)


@contextmanager
def sentences() -> Iterator[None]:
    """Show an error of the package as its sentence; its log lines are told by what is shown."""
    logger, httpx_logger = logging.getLogger("aegis_llm"), logging.getLogger("httpx")
    levels = logger.level, httpx_logger.level
    logger.setLevel(logging.CRITICAL)
    httpx_logger.setLevel(logging.WARNING)
    try:
        yield
    except AegisError as exc:
        tell_wrong(str(exc))
        raise typer.Exit(1) from None
    finally:
        logger.setLevel(levels[0])
        httpx_logger.setLevel(levels[1])


def tell_wrong(sentence: str) -> None:
    """Show what is wrong; the terminal breaks the line, so that a path in it can be copied."""
    aside.print(printable(sentence), style="red", markup=False, highlight=False, soft_wrap=True)


def checked(text: str, what: str) -> str:
    """Return the text without white space around it, or stop when there is none."""
    if not text.strip():
        refuse(f"The {what} is empty; write it in quotation marks.")
    if not is_text(text):
        refuse(f"The {what} holds bytes that are no text in UTF-8; type it anew.")
    return text.strip()


def is_text(text: str) -> bool:
    """Return whether a text can be sent and stored: it holds no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cosine(one: list[float], other: list[float]) -> float:
    """Return the cosine similarity of two vectors, 0 when one has no length."""
    a, b = np.asarray(one, np.float32), np.asarray(other, np.float32)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0


class OllamaEmbedder:
    """The embedding model of an Ollama, named as the framework's own class is.

    Args:
        model: Its name.
        url: The server; None: `OLLAMA_HOST`, else localhost.
        framework: Whose entries are to be found; each names its embedder in its own way.
        embedding_id: A name given by the user in place of that.
    """

    def __init__(
        self,
        model: str,
        url: str | None = None,
        framework: Framework = "langchain",
        embedding_id: str | None = None,
    ) -> None:
        self.model = model
        self.embedding_id = embedding_id or NAMES[framework].format(model)
        try:
            bare, login = login_of(url) if url else (None, {})
            self._client = ollama.Client(host=bare, headers=login, timeout=_TIMEOUT_S)
        except (ValueError, httpx.InvalidURL):
            refuse(f"The address of Ollama, {safe_url(url or 'OLLAMA_HOST')}, is not usable.")
        self.url = str(self._client._client.base_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]  # ollama's, untyped

    def embed(self, text: str) -> list[float]:
        """Return the vector of one text."""
        return self.embed_all([text])[0]

    def embed_all(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of some texts.

        Raises:
            EmbedTrouble: Ollama does not answer or has no such model.
        """
        try:
            reply = self._client.embed(model=self.model, input=list(texts))
        except (ConnectionError, httpx.HTTPError) as exc:
            raise EmbedTrouble("embedding_failed", f"no Ollama answers at {self._shown}") from exc
        except ollama.ResponseError as exc:
            said = f"Ollama at {self._shown} says: {exc.error}; try `ollama pull {self.model}`"
            raise EmbedTrouble("embedding_failed", said) from exc
        return [list(vector) for vector in reply.embeddings]

    def digest(self) -> str:
        """Return the digest of the model; empty when Ollama does not tell it."""
        try:
            models = self._client.list().models
        except (ConnectionError, httpx.HTTPError, ollama.ResponseError):
            return ""
        found = {normal_model(str(model.model)): model.digest for model in models}
        return found.get(normal_model(self.model)) or ""

    @property
    def _shown(self) -> str:
        return safe_url(self.url)
