"""What an `AegisOllama` is linked to: the cache, and the Ollama that its clients speak to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from llama_index.llms.ollama import Ollama
from ollama import AsyncClient, Client
from ollama._client import _parse_host

from aegis_llm.answering import Answering
from aegis_llm.ollama_client import LoopClient, OllamaModels, stream_chat
from aegis_llm.ports import ModelSource, Reply
from aegis_llm.wiring import server_name

if TYPE_CHECKING:
    from llama_index.llms.aegis.base import AegisOllama

_SHOW_TIMEOUT_S = 5.0


class Links:
    """The cache and the servers of one model; shared by its copies, absent from its pickle."""

    def __init__(self, answering: Answering, llm: AegisOllama) -> None:
        self.answering = answering
        self._host = _parse_host(llm.base_url)
        self._headers = dict(llm.headers or {})
        self._timeout = llm.request_timeout
        self.given = (llm._client, llm._async_client)
        self._client: Client | None = llm._client
        self._source = self._registered(llm._client)
        given = llm._client is not None or llm._async_client is not None
        self._async_source = self._registered(llm._async_client) if given else self._source

    def server(self, *, awaited: bool) -> str:
        """Return the name of the server that blocking, or awaited, requests go to."""
        return (self._async_source if awaited else self._source).server

    def show(self, model: str) -> Any:
        """Return what `/api/show` says of a model."""
        if self._client is not None:
            return self._client.show(model)
        client = Client(host=self._host, headers=self._headers, timeout=_SHOW_TIMEOUT_S)
        try:
            return client.show(model)
        finally:
            client.close()  # type: ignore[no-untyped-call]

    def loop_client(self) -> Any:
        """Return a stand-in for an `AsyncClient` that works in every event loop."""
        host, headers, timeout = self._host, self._headers, self._timeout
        return LoopClient(lambda: AsyncClient(host=host, headers=headers, timeout=timeout))

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """Leave a pickle as None: whoever loads it connects afresh."""
        return type(None), ()

    def _registered(self, given: Client | AsyncClient | None) -> ModelSource:
        source = _source(given, self._host, self._headers)
        self.answering.service.digests.register(source)
        return source


def source_of(llm: Ollama) -> ModelSource:
    """Return the source of digests for an `Ollama`."""
    given: Any = llm._client
    if given is None:
        links: Links | None = getattr(llm, "_links", None)
        given = llm._async_client if links is None else next(filter(None, links.given), None)
    return _source(given, _parse_host(llm.base_url), dict(llm.headers or {}))


def _source(given: Any, host: str, headers: Mapping[str, str]) -> ModelSource:
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
        self.server = server_name(str(client._client.base_url))

    def fetch(self) -> Mapping[str, str]:
        """Return digests by model name, from `/api/tags`."""
        models = self._client.list().models
        return {str(m.model): m.digest for m in models if m.model and m.digest}

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model; the time limit is that of the user's client."""
        return stream_chat(self._client, body, going)
