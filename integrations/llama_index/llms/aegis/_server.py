"""What an `AegisOllama` is linked to: the cache, and the Ollama that its clients speak to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llama_index.llms.ollama import Ollama
from ollama import AsyncClient, Client
from ollama._client import _parse_host

from aegis_llm.answering import Answering
from aegis_llm.config import AegisConfig
from aegis_llm.ollama_client import LoopClient, OllamaModels, quick_to_connect, stream_chat
from aegis_llm.ollama_servers import OllamaServers, families_of, fleet_of, seen_by, urls_of
from aegis_llm.ports import ModelSource, Reply
from aegis_llm.scheduled_client import ScheduledAsyncClient, ScheduledClient
from aegis_llm.scheduler.fleet import Fleet, Seen
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.wiring import server_name

if TYPE_CHECKING:
    from llama_index.llms.aegis.base import AegisOllama

_SHOW_TIMEOUT_S = 5.0


class Links:
    """The cache and the servers of one model; shared by its copies, absent from its pickle."""

    def __init__(self, answering: Answering, llm: AegisOllama) -> None:
        self.answering = answering
        self._config = (llm.aegis or AegisConfig()).scheduler
        self._hosts = [_parse_host(url) for url in urls_of(llm.base_url)]
        self._headers = dict(llm.headers or {})
        self._timeout = llm.request_timeout
        self.given = (llm._client, llm._async_client)
        given = llm._client is not None or llm._async_client is not None
        self._blocking = self._way(llm._client)
        self._awaited = self._way(llm._async_client) if given else self._blocking
        self._client: Any = None
        self._async_client: Any = None

    def source(self, *, awaited: bool) -> ModelSource:
        """Return who is asked for the models of blocking, or awaited, requests."""
        return (self._awaited if awaited else self._blocking).source

    def server(self, *, awaited: bool) -> str:
        """Return the name of the server that blocking, or awaited, requests go to."""
        return self.source(awaited=awaited).server

    def fleet(self, *, awaited: bool) -> Fleet | None:
        """Return the servers that requests are scheduled on; None: they are not scheduled."""
        return (self._awaited if awaited else self._blocking).fleet

    def client(self) -> Any:
        """Return the blocking client, or its stand-in that schedules."""
        if self._client is None:
            given, _ = self.given
            clients = (
                [self._made(Client, host) for host in self._hosts] if given is None else [given]
            )
            self._client = self._scheduled(ScheduledClient, clients, self._blocking.fleet)
        return self._client

    def async_client(self) -> Any:
        """Return the awaited client, which works in every event loop, or its stand-in."""
        if self._async_client is None:
            _, given = self.given
            clients = [self._loop_client(h) for h in self._hosts] if given is None else [given]
            self._async_client = self._scheduled(
                ScheduledAsyncClient, clients, self._awaited.fleet
            )
        return self._async_client

    @property
    def servers(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the URL of each server, and the arguments of a client for it."""
        blocking, awaited = self.given
        given = blocking if blocking is not None else awaited
        if given is None:
            return [(host, {"headers": dict(self._headers)}) for host in self._hosts]
        http = given._client
        return [(str(http.base_url), {"headers": dict(http.headers)})]

    def show(self, model: str) -> Any:
        """Return what `/api/show` says of a model."""
        given, _ = self.given
        if given is not None:
            return given.show(model)
        fleet = self._blocking.fleet
        host = self._hosts[0 if fleet is None else fleet.asked_on(model)]
        client = Client(host=host, headers=self._headers, timeout=_SHOW_TIMEOUT_S)
        try:
            return client.show(model)
        finally:
            client.close()  # type: ignore[no-untyped-call]

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Leave a pickle as None: whoever loads it connects afresh."""
        return type(None), ()

    def _scheduled(self, kind: Any, clients: Sequence[Any], fleet: Fleet | None) -> Any:
        return clients[0] if fleet is None else kind(clients, fleet)

    def _made(self, kind: Any, host: str) -> Any:
        made = kind(host=host, headers=self._headers, timeout=self._timeout)
        return quick_to_connect(made) if len(self._hosts) > 1 else made

    def _loop_client(self, host: str) -> LoopClient:
        return LoopClient(lambda: self._made(AsyncClient, host))

    def _way(self, given: Any) -> _Way:
        hosts = self._hosts[:1] if given is not None else self._hosts
        sources = [_source(given, host, self._headers) for host in hosts]
        fleet = None
        if self._config.schedule or len(sources) > 1:
            fleet = fleet_of(sources, self._config)
        source: Any = sources[0]
        if fleet is not None and len(sources) > 1:
            source = OllamaServers(sources, fleet)
        self.answering.service.digests.register(source)
        return _Way(source, fleet)


class _Way(NamedTuple):
    """Where blocking, or awaited, requests go."""

    source: ModelSource
    fleet: Fleet | None


def source_of(llm: Ollama) -> ModelSource:
    """Return the source of digests for an `Ollama`."""
    links: Links | None = getattr(llm, "_links", None)
    if links is not None:
        return links.source(awaited=links.given[0] is None and links.given[1] is not None)
    given = llm._client or llm._async_client
    return _source(given, _parse_host(llm.base_url), dict(llm.headers or {}))


def _source(given: Any, host: str, headers: Mapping[str, str]) -> GivenModels | OllamaModels:
    if isinstance(given, Client):
        return GivenModels(given)
    if isinstance(given, AsyncClient):
        http = given._client
        return OllamaModels(str(http.base_url), {"headers": dict(http.headers)})
    return OllamaModels(host, {"headers": dict(headers)})


class GivenModels:
    """Asks an Ollama for the digests of its models through the client that the user gave."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.url = str(client._client.base_url)
        self.server = server_name(self.url)

    def fetch(self) -> Mapping[str, str]:
        """Return digests by model name, from `/api/tags`."""
        models = self._client.list().models
        QUEUES.families(self.url, families_of(models))
        return {str(m.model): m.digest for m in models if m.model and m.digest}

    def look(self) -> Seen:
        """Return what the server has and what is loaded, from `/api/tags` and `/api/ps`."""
        return seen_by(self._client)

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model; the time limit is that of the user's client."""
        return stream_chat(self._client, body, going)
