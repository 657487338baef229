"""The clients of a LangChain model: one for each server, whose chats wait for their turn."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_ollama._utils import merge_auth_headers, parse_url_with_auth
from ollama import AsyncClient, Client

from aegis_llm.config import SchedulerConfig
from aegis_llm.ollama_client import LoopClient, OllamaModels
from aegis_llm.ollama_servers import OllamaServers, fleet_of
from aegis_llm.ports import ModelSource
from aegis_llm.scheduled_client import ScheduledAsyncClient, ScheduledClient
from aegis_llm.scheduler.fleet import Fleet

if TYPE_CHECKING:
    from langchain_ollama import ChatOllama


class Way(NamedTuple):
    """How a model asks: its two clients, what they are scheduled on, who knows the digests."""

    client: Any
    async_client: Any
    fleet: Fleet | None
    source: ModelSource


class Clients:
    """The real clients of a model; shared by its copies, which may schedule otherwise."""

    def __init__(self, model: ChatOllama, urls: Sequence[str | None]) -> None:
        self._blocking: list[Client] = []
        self._awaited: list[LoopClient] = []
        sources: list[OllamaModels] = []
        for url in urls:
            host, headers = parse_url_with_auth(url)
            shared = dict(model.client_kwargs or {})
            merge_auth_headers(shared, headers)
            blocking, awaited = model._client, model._async_client
            if self._blocking:
                blocking = Client(host=host, **shared, **(model.sync_client_kwargs or {}))
                awaited = None  # type: ignore[assignment]
            weakref.finalize(blocking, blocking._client.close)  # nobody else closes it
            self._blocking.append(blocking)
            options = {**shared, **(model.async_client_kwargs or {})}
            self._awaited.append(LoopClient(_maker(host, options), awaited))
            options = {**shared, **(model.sync_client_kwargs or {})}
            sources.append(OllamaModels(str(blocking._client.base_url), options))
        self._sources = sources

    def schedule(self, config: SchedulerConfig) -> Way:
        """Return the way of a model with these settings."""
        source: ModelSource = self._sources[0]
        if not config.schedule and len(self._sources) == 1:
            return Way(self._blocking[0], self._awaited[0], None, source)
        fleet = fleet_of(self._sources, config)
        if len(self._sources) > 1:
            source = OllamaServers(self._sources, fleet)
        return Way(
            ScheduledClient(self._blocking, fleet, config.retries),
            ScheduledAsyncClient(self._awaited, fleet, config.retries),
            fleet,
            source,
        )


def _maker(host: str | None, options: dict[str, Any]) -> Any:
    return lambda: AsyncClient(host=host, **options)
