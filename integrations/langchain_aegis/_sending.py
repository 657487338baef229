"""The clients of a LangChain model: one for each server, whose chats wait for their turn."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_ollama._utils import merge_auth_headers, parse_url_with_auth, validate_model
from ollama import AsyncClient, Client

from aegis_llm.config import SchedulerConfig
from aegis_llm.ollama_client import LoopClient, OllamaModels, quick_to_connect
from aegis_llm.ollama_servers import OllamaServers, fleet_of
from aegis_llm.ports import ModelSource
from aegis_llm.scheduled_client import ScheduledAsyncClient, ScheduledClient
from aegis_llm.scheduler.fleet import Fleet

if TYPE_CHECKING:
    from langchain_ollama import ChatOllama


class Scheduled(NamedTuple):
    """What a model calls, who is asked for digests, and where calls are scheduled, if they are."""

    client: Any
    async_client: Any
    source: ModelSource
    fleet: Fleet | None


class Clients:
    """The real clients of a model; shared by its copies, whose settings may differ.

    `servers` are URLs, with the arguments of the blocking and of the awaited client.
    """

    def __init__(self, model: ChatOllama, urls: Sequence[str | None]) -> None:
        self._blocking: list[Client] = []
        self._awaited: list[LoopClient] = []
        self._sources: list[OllamaModels] = []
        self.servers: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        prepare = quick_to_connect if len(urls) > 1 else _as_it_is
        for url in urls:
            host, headers = parse_url_with_auth(url)
            shared = own_kwargs(model.client_kwargs)
            merge_auth_headers(shared, headers)
            sync = {**shared, **(model.sync_client_kwargs or {})}
            blocking, awaited = model._client, None
            if self._blocking:
                blocking = Client(host=host, **sync)
            else:
                awaited = prepare(model._async_client)
            weakref.finalize(blocking, blocking._client.close)  # nobody else closes it
            self._blocking.append(prepare(blocking))
            async_ = {**shared, **(model.async_client_kwargs or {})}
            self._awaited.append(LoopClient(_maker(host, async_, prepare), awaited))
            where = str(blocking._client.base_url)
            self._sources.append(OllamaModels(where, sync))
            self.servers.append((where, sync, async_))
        if len(urls) > 1 and model.validate_model_on_init:
            self._validate(model.model)

    def _validate(self, name: str) -> None:
        """Raise what ChatOllama would if no server has the model."""
        for client in self._blocking:
            try:
                return validate_model(client, name)
            except Exception:  # it is gone, or has no such model
                if client is self._blocking[-1]:
                    raise
        return None

    def __deepcopy__(self, memo: Any) -> Clients:
        return self

    def schedule(self, config: SchedulerConfig) -> Scheduled:
        """Return what a model calls that has these settings."""
        if not config.schedule and len(self._sources) == 1:
            return Scheduled(self._blocking[0], self._awaited[0], self._sources[0], None)
        fleet = fleet_of(self._sources, config)
        several = len(self._sources) > 1
        return Scheduled(
            ScheduledClient(self._blocking, fleet),
            ScheduledAsyncClient(self._awaited, fleet),
            OllamaServers(self._sources, fleet) if several else self._sources[0],
            fleet,
        )


def own_kwargs(client_kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Return arguments of a client in which the headers of one server may be set."""
    kwargs = dict(client_kwargs or {})
    if "headers" in kwargs:
        kwargs["headers"] = dict(kwargs["headers"])
    return kwargs


def _as_it_is(client: Any) -> Any:
    return client


def _maker(host: str | None, options: dict[str, Any], prepare: Callable[[Any], Any]) -> Any:
    return lambda: prepare(AsyncClient(host=host, **options))
