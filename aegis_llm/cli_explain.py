"""`aegis-llm explain`: what the cache would do with a question, and why."""

from __future__ import annotations

import concurrent.futures
import json
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

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
from aegis_llm.cli_parts import (
    OllamaEmbedder,
    checked,
    console,
    cosine,
    refuse,
    sentences,
)
from aegis_llm.config import AegisConfig, CacheConfig
from aegis_llm.control import cache_control
from aegis_llm.errors import ConfigError, EmbedTrouble
from aegis_llm.explanation import Explanation
from aegis_llm.explanation.words import in_words, shown
from aegis_llm.keys import request_from_body
from aegis_llm.matching import Decision, Matcher, Route, route
from aegis_llm.ollama_client import OllamaModels
from aegis_llm.service import Service
from aegis_llm.values import Request
from aegis_llm.window import fits_window
from aegis_llm.wiring import build, unscored

_PATIENT = {"redis_timeout_ms": 2000, "redis_connect_timeout_ms": 2000, "embed_timeout_ms": 60000}
_DIGEST_WAIT_S = 5.0


def explain(
    question: Annotated[str, typer.Argument(help="The question, in quotation marks.")],
    against: Annotated[
        str | None, typer.Option(help="Compare with this question; needs no Redis.")
    ] = None,
    model: Annotated[str, typer.Option(help="The chat model.")] = "llama3.1:8b",
    system: Annotated[str | None, typer.Option(help="The system message before it.")] = None,
    options: Annotated[
        str, typer.Option(help="Options of the model as JSON, '{\"temperature\": 0}'.")
    ] = "{}",
    redis_url: RedisUrl = None,
    namespace: Namespace = None,
    tenant: Annotated[str | None, typer.Option(help="The tenant of cache_control.")] = None,
    user: Annotated[str | None, typer.Option(help="The user of cache_control.")] = None,
    embedding_model: EmbeddingModel = DEFAULT_EMBEDDING_MODEL,
    framework: Whose = "langchain",
    embedding_id: EmbeddingId = None,
    ollama_url: OllamaUrl = None,
    matching: HowSure = "strict",
    calibration: CalibrationFile = None,
    similarity: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="With --against: the cosine similarity, if known."),
    ] = None,
    entries: Annotated[
        int, typer.Option(min=0, max=50, help="Show so many of other contexts, if none is here.")
    ] = 3,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Show those of other tenants, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell what the cache would do with a question and why; nothing is stored or served."""
    question = checked(question, "question")
    given = {"matching": matching, "calibration": calibration}
    with sentences():
        if similarity is not None and against is None:
            refuse("--similarity needs --against: it is how alike those two questions are.")
        config = AegisConfig.from_env().with_options(**_PATIENT, **given)
        if redis_url is not None:
            config = config.with_options(redis_url=redis_url)
        if namespace is not None:
            config = config.with_options(namespace=namespace)
        with OllamaEmbedder(embedding_model, ollama_url, framework, embedding_id) as embedder:
            if against is not None:
                other = checked(against, "question of --against")
                _show(compare(question, other, config.cache, embedder, similarity), as_json)
                return
            body: dict[str, Any] = {"model": model, "options": _options(options)}
            body["messages"] = [{"role": "user", "content": question}]
            if system is not None:
                body["messages"].insert(0, {"role": "system", "content": system})
            source = OllamaModels(embedder.url, {})
            request = request_from_body(body, server=source.server)
            with cache_control(tenant=tenant, user=user):
                _show(_explained(request, config, embedder, source, entries, all_tenants), as_json)


class Comparison(msgspec.Struct, frozen=True):
    """Two questions side by side; `similarity` is None where it is not known.

    `unscored` says why no score can be made with this embedder; empty where one can.
    """

    asked: str
    against: str
    similarity: float | None
    routes: tuple[Route, Route]
    decision: Decision
    in_the_way: str = ""
    unscored: str = ""

    @property
    def sentence(self) -> str:
        """What follows, in one sentence."""
        for way in self.routes:
            if way.kind != "reuse":
                return f"Never by meaning: {way.kind}, {way.reason} ({in_words(way.reason)})."
        if self.in_the_way == "question_too_long":
            return f"Never by meaning: {in_words(self.in_the_way)}."
        if not self.decision.accept:
            names = self.decision.vetoes or (self.decision.reason,)
            told = "; ".join(f"{name} ({in_words(name)})" for name in names)
            return f"The answer to one would not be served for the other: {told}."
        if self.similarity is None:
            return (
                "No gate objects; how alike they are is not known: give --similarity, or let an "
                "Ollama with the embedding model answer."
            )
        return "In the same context, the answer to one would be served for the other."

    def __rich__(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        yes = self.decision.accept and self.similarity is not None and not self.in_the_way
        grid.add_row("decision", Text(self.sentence, "bold green" if yes else "bold yellow"))
        for label, text, way in zip(
            ("asked", "against"), (self.asked, self.against), self.routes, strict=True
        ):
            why = f": {way.reason}" if way.reason else ""
            grid.add_row(label, Text(f"{shown(text)}  [{way.kind}{why}]"))
        numbers = {
            "similarity": self.similarity,
            "score": self.decision.score if self.similarity is not None else None,
            "needed": self.decision.threshold,
        }
        for label, number in numbers.items():
            if number is not None:
                grid.add_row(label, f"{number:.3f}")
        if self.in_the_way:
            grid.add_row("in the way", Text(f"{self.in_the_way} ({in_words(self.in_the_way)})"))
        if self.unscored:
            grid.add_row("no score", Text(self.unscored))
        return grid


def compare(
    asked: str,
    against: str,
    cache: CacheConfig,
    embedder: OllamaEmbedder,
    similarity: float | None = None,
) -> Comparison:
    """Return the routes of two questions and the decision about them.

    Without a `similarity` the embedder is asked; where it fails, the gates alone decide.
    """
    routes = (route(asked), route(against))
    matcher = Matcher(cache, embedder.embedding_id)
    trouble = ""
    if not all(fits_window(text, cache.max_question_tokens) for text in (asked, against)):
        trouble = "question_too_long"
    elif similarity is None:
        try:
            similarity = cosine(*embedder.embed_all([asked, against]))
        except EmbedTrouble as exc:
            trouble = exc.reason
    decision = Decision(False, trouble)
    if trouble != "question_too_long":
        assumed = 1.0 if similarity is None else similarity
        decision = matcher.decide(asked, against, assumed)
    note = unscored(matcher, cache, embedder.embedding_id)
    return Comparison(asked, against, similarity, routes, decision, trouble, note)


def _explained(
    request: Request,
    config: AegisConfig,
    embedder: OllamaEmbedder,
    source: OllamaModels,
    entries: int,
    all_tenants: bool,
) -> Explanation:
    service = build(config, embedder)
    try:
        return explained(service, request, source, entries, all_tenants=all_tenants)
    finally:
        service.store.close()


def explained(
    service: Service,
    request: Request,
    source: OllamaModels,
    entries: int,
    *,
    all_tenants: bool = False,
) -> Explanation:
    """Return what a service would do with a request, once the digest of its model is known."""
    service.digests.register(source)
    _, fetching = service.digests.look(source.server, request.model, keep=False)
    if fetching is not None:
        concurrent.futures.wait([fetching], _DIGEST_WAIT_S)
    return service.explain(request, elsewhere=entries, all_tenants=all_tenants)


def _options(text: str) -> dict[str, Any]:
    try:
        return options_of(text)
    except ConfigError:
        refuse("--options is no JSON object; write for example --options '{\"temperature\": 0}'.")


def options_of(text: str) -> dict[str, Any]:
    """Return the options of a model that a person wrote as JSON.

    Raises:
        ConfigError: It is no JSON object.
    """
    try:
        options = json.loads(text)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict):
        msg = 'the options are no JSON object; write for example {"temperature": 0}'
        raise ConfigError(msg)
    return options


def _show(told: Explanation | Comparison, as_json: bool) -> None:
    if not as_json:
        console.print(told)
        if "index_missing" in told.in_the_way:
            console.print(
                "Other embedder? --framework llama-index, or --embedding-id", style="dim"
            )
        return
    sentence = {"sentence": told.sentence}
    typer.echo(json.dumps(sentence | msgspec.to_builtins(told), indent=2, ensure_ascii=False))
