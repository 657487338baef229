"""The arguments of `bootstrap`, checked, as one order that can be carried out."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import msgspec
import ollama
from ollama._client import _parse_host

from aegis_llm.bootstrap.warming import wanting
from aegis_llm.bootstrap.warming.traffic import Cache, Server, Traffic
from aegis_llm.bootstrap.warming.wanting import Job, Prefix
from aegis_llm.bootstrap.warming.wire import with_login
from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError
from aegis_llm.ollama_client import OllamaModels, told
from aegis_llm.ollama_servers import OllamaServers, fleet_of, urls_of
from aegis_llm.ports import ModelSource
from aegis_llm.wiring import connect

_MOST_S = 86_400.0


class Settings(TypedDict, total=False):
    """What `bootstrap` takes beside the objects; see there."""

    url: str | Sequence[str] | None
    redis_url: str | Literal[False] | None
    models: Sequence[str] | str
    options: Mapping[str, Any] | None
    prefixes: Sequence[Prefix] | str
    keep_alive: float | str | None
    embed_model: str | None
    embedding_id: str | None
    namespace: str | None
    num_parallel: int | None
    verify: bool
    strict: bool
    timeout_s: float


@dataclass(frozen=True, kw_only=True)
class Order:
    """One warm-up. Calls with the same `key` at the same time are one."""

    jobs: tuple[Job, ...]
    caches: tuple[tuple[Cache, ...], ...]
    notes: tuple[str, ...]
    key: Hashable
    strict: bool
    timeout_s: float


def ordered(
    objects: Sequence[Any],
    *,
    url: str | Sequence[str] | None = None,
    redis_url: str | Literal[False] | None = None,
    models: Sequence[str] | str = (),
    options: Mapping[str, Any] | None = None,
    prefixes: Sequence[Prefix] | str = (),
    keep_alive: float | str | None = None,
    embed_model: str | None = None,
    embedding_id: str | None = None,
    namespace: str | None = None,
    num_parallel: int | None = None,
    verify: bool = True,
    strict: bool = False,
    timeout_s: float = 300.0,
) -> Order:
    """Return the order.

    Raises:
        ConfigError: An argument is not usable.
    """
    names = (models,) if isinstance(models, str) else tuple(models)
    own: dict[str, Any] = {
        "url": url, "redis_url": redis_url, "models": names, "options": options,
        "embed_model": embed_model, "embedding_id": embedding_id, "namespace": namespace,
    }  # fmt: skip
    if objects:
        if double := [name for name, value in own.items() if value]:
            msg = f"{double[0]}= is told by the objects; give the objects alone, or names alone"
            raise ConfigError(msg)
        traffics = wanting.traffics_of(objects)
    else:
        if not names and embed_model is None:
            msg = "there is nothing to warm; give a ChatAegis or AegisOllama, or models="
            raise ConfigError(msg)
        traffics = _named(**{**own, "options": wanting.checked_options(options or {})})
    if keep_alive in (0, "0"):
        msg = f"keep_alive={keep_alive!r} unloads the models at once; give how long they stay"
        raise ConfigError(msg)
    if num_parallel is not None and num_parallel < 1:
        msg = f"num_parallel={num_parallel!r} is not usable; give a whole number, 1 or more"
        raise ConfigError(msg)
    if not (0 < timeout_s <= _MOST_S and math.isfinite(timeout_s)):
        msg = f"timeout_s={timeout_s!r} is not usable; give seconds, more than 0"
        raise ConfigError(msg)
    given = wanting.Given(
        prefixes=wanting.bodies_of(prefixes),
        keep_alive=keep_alive,
        num_parallel=num_parallel,
        verify=verify,
    )
    jobs = tuple(wanting.jobs_of(traffics, given))
    caches = tuple(wanting.caches_of(traffics))
    return Order(
        jobs=jobs,
        caches=caches,
        notes=wanting.notes_of(traffics, given),
        key=_key(jobs, caches),
        strict=strict,
        timeout_s=timeout_s,
    )


def _named(
    *,
    url: str | Sequence[str] | None,
    redis_url: str | Literal[False] | None,
    models: Sequence[str],
    options: Mapping[str, Any],
    embed_model: str | None,
    embedding_id: str | None,
    namespace: str | None,
) -> list[Traffic]:
    """Return the traffic of models that are given by name."""
    config = AegisConfig()
    kept: dict[str, Any] = {"redis_url": redis_url, "namespace": namespace}
    config = config.with_options(**{name: value for name, value in kept.items() if value})
    if url is None:  # what the client of Ollama itself takes
        url = _parse_host(os.environ.get("OLLAMA_HOST"))
    urls = [url] if isinstance(url, str) else list(url)
    servers = tuple(with_login(one) for one in urls_of(urls))
    sources = [OllamaModels(server.url, server.options) for server in servers]
    fleet = fleet_of(sources, config.scheduler) if len(servers) > 1 else None
    cache = None
    if redis_url is not False:
        source: ModelSource = sources[0] if fleet is None else OllamaServers(sources, fleet)
        embedder = None
        if embed_model is not None and embedding_id is not None:
            embedder = NamedEmbedder(embed_model, embedding_id, servers[0])
        service = connect(config, embedder).service
        service.digests.register(source)
        cache = Cache(
            config=config.cache,
            store=service.store,
            digests=service.digests,
            models=tuple((source.server, model) for model in models),
            embedder=embedder,
        )
    chats = [
        Traffic(
            kind="chat",
            model=model,
            servers=servers,
            options=options,
            scheduler=config.scheduler,
            fleet=fleet,
            cache=cache,
        )
        for model in models
    ]
    if embed_model is None:
        return chats
    embeds = Traffic(
        kind="embedding",
        model=embed_model,
        servers=servers,
        scheduler=config.scheduler,
        fleet=fleet,
        cache=cache,
    )
    return [*chats, embeds]


class NamedEmbedder:
    """An embedding model on an Ollama, under the name by which its index is known."""

    def __init__(self, model: str, embedding_id: str, server: Server) -> None:
        self.embedding_id = embedding_id
        self._model = model
        self._server = server

    def embed(self, text: str) -> list[float]:
        """Return the vector of one text."""
        client = ollama.Client(host=self._server.url, **self._server.options)
        try:
            return list(client.embed(model=self._model, input=text).embeddings[0])
        finally:
            client.close()  # type: ignore[no-untyped-call]  # ollama's, untyped


def _key(jobs: Sequence[Job], caches: Sequence[Sequence[Cache]]) -> Hashable:
    servers = tuple(
        (told(job.server.options), told(job.server.async_options), job.scheduler) for job in jobs
    )
    wanted = msgspec.json.encode([job.wanted for job in jobs], enc_hook=repr)
    return servers, wanted, tuple(id(cache.store) for same in caches for cache in same)
