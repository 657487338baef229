"""What a model's requests look like: the adapters tell it, so that a warm-up can do the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from aegis_llm.bootstrap.warming.values import Kind
from aegis_llm.config import CacheConfig, SchedulerConfig
from aegis_llm.ports import Embedder, Store
from aegis_llm.scheduler.digests import DigestBook
from aegis_llm.scheduler.fleet import Fleet


@dataclass(frozen=True, kw_only=True)
class Server:
    """One Ollama.

    Attributes:
        url: With scheme and port.
        options: Arguments of `ollama.Client` beside it (headers, TLS).
        async_options: Those of `ollama.AsyncClient`.
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    async_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Cache:
    """Where the answers or vectors of a model are kept.

    Attributes:
        config: Its settings.
        digests: Asked for the digests of `models`, which are (server, model).
        embedder: For whose vectors the semantic index is; None: there is no semantic tier.
    """

    config: CacheConfig
    store: Store
    digests: DigestBook
    models: tuple[tuple[str, str], ...] = ()
    embedder: Embedder | None = None


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The requests of one model.

    Attributes:
        servers: Where they go.
        options: All options that they carry.
        extra: Other fields of a chat's body that change its prompt (`think`).
        keep_alive: As they carry it; None: they carry none.
        fleet: How they are scheduled; None: they are not, or `scheduler` says.
        beside: Other models that come with it: the embedder of the cache.
    """

    kind: Kind
    model: str
    servers: tuple[Server, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: float | str | None = None
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    fleet: Fleet | None = None
    cache: Cache | None = None
    beside: tuple[Traffic, ...] = ()


@runtime_checkable
class Warmable(Protocol):
    """A model of an adapter."""

    def traffic(self) -> Traffic:
        """Return what its requests look like; asks nobody."""
