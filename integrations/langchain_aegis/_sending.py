"""The clients of a LangChain model: one for each server, whose chats wait for their turn."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


class Clients:
    """The real clients of a model and the stand-ins that schedule; shared by its copies."""

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
        self.source: ModelSource = sources[0]
        self.fleet: Fleet | None = None

    def schedule(self, config: SchedulerConfig) -> tuple[Any, Any]:
        """Return the blocking and the awaited client that a model calls."""
        if not config.schedule and len(self._sources) == 1:
            self.fleet = None
            return self._blocking[0], self._awaited[0]
        self.fleet = fleet_of(self._sources, config)
        if len(self._sources) > 1:
            self.source = OllamaServers(self._sources, self.fleet)
        return (
            ScheduledClient(self._blocking, self.fleet, config.retries),
            ScheduledAsyncClient(self._awaited, self.fleet, config.retries),
        )


def _maker(host: str | None, options: dict[str, Any]) -> Any:
    return lambda: AsyncClient(host=host, **options)
