"""What is needed of Ollama beside the chat itself: clients per event loop, digests, images."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import httpx
from ollama import AsyncClient, Client, Image

from aegis_llm.keys import normal_model
from aegis_llm.ollama_servers import families_of, seen_by
from aegis_llm.ports import ModelSource, Reply
from aegis_llm.scheduler.fleet import Seen
from aegis_llm.scheduler.forks import renew_in_child
from aegis_llm.scheduler.loops import PerLoop
from aegis_llm.scheduler.registry import QUEUES
from aegis_llm.wiring import server_name

_TAGS_TIMEOUT_S = 5.0
_CONNECT_S = 5.0


class LoopClient:
    """Stands for an `ollama.AsyncClient`, with a real one for each event loop.

    The client that the framework made (`first`) serves the first loop: making one takes tens of
    milliseconds, which no request should wait for.
    """

    def __init__(self, make: Callable[[], AsyncClient], first: AsyncClient | None = None) -> None:
        self._make = make
        self._first = first
        self._clients: PerLoop[AsyncClient] = PerLoop(
            self._next,
            lambda client: client.close(),  # type: ignore[no-untyped-call]
            _streams,
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            client = await self._clients.get()
            return await getattr(client, name)(*args, **kwargs)

        return call

    def _next(self) -> AsyncClient:
        first, self._first = self._first, None
        return first if first is not None else self._make()


def _streams(client: AsyncClient) -> Iterator[Any]:
    """Yield the open connections of a client whose loop was closed."""
    http = getattr(client, "_client", None)
    mounts = getattr(http, "_mounts", {}).values()
    for transport in (getattr(http, "_transport", None), *mounts):
        for connection in getattr(getattr(transport, "_pool", None), "connections", ()):
            while (inner := getattr(connection, "_connection", None)) is not None:
                connection = inner  # noqa: PLW2901
            if (stream := getattr(connection, "_network_stream", None)) is not None:
                yield stream


class OllamaModels:
    """Asks one Ollama for the digests of its models, through a client of its own.

    Args:
        url: The server, as the framework's own client knows it.
        options: Arguments of `ollama.Client` (headers, TLS); the timeout is set here.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url
        self._options = {**options, "timeout": _TAGS_TIMEOUT_S}
        self._closing: weakref.finalize[Any, Any] | None = None
        self.server = server_name(url)
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Leave the connections to the parent: two processes cannot share one."""
        if self._closing is not None:
            self._closing.detach()
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._chatting: dict[float, Client] = {}

    @property
    def options(self) -> Mapping[str, Any]:
        """Arguments of `ollama.Client` with which the server is asked."""
        return self._options

    def fetch(self) -> Mapping[str, str]:
        """Return digests by model name, from `/api/tags`."""
        with self._lock:
            models = self._asking().list().models
        QUEUES.families(self.url, families_of(models))
        return {str(m.model): m.digest for m in models if m.model and m.digest}

    def look(self) -> Seen:
        """Return what the server has and what is loaded, from `/api/tags` and `/api/ps`."""
        with self._lock:
            return seen_by(self._asking())

    def _asking(self) -> Client:
        if self._client is None:
            self._client = Client(host=self.url, **self._options)
            self._closing = weakref.finalize(self, self._client.close)
        return self._client

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model; closes the connection, which stops the model, when `going` turns False."""
        with self._lock:
            client = self._chatting.get(timeout_s)
            if client is None:
                client = Client(host=self.url, **{**self._options, "timeout": timeout_s})
                self._chatting[timeout_s] = client
                weakref.finalize(client, client._client.close)
        return stream_chat(client, body, going)


def quick_to_connect(client: Any) -> Any:
    """Have a client give a server up that takes no connection, since others may; return it."""
    limits = client._client.timeout
    if limits.connect is None or limits.connect > _CONNECT_S:
        client._client.timeout = httpx.Timeout(
            connect=_CONNECT_S, read=limits.read, write=limits.write, pool=limits.pool
        )
    return client


class OllamaVectors:
    """One embedding model on one Ollama, asked through the clients of an adapter.

    Args:
        client: Asks for blocking calls.
        async_client: Asks for awaited calls, in every event loop.
        models: Asked for the digest.
        model: Name of the model, as it is sent.
        options: Options as they are sent; those that are None are left out.
        dimensions: Numbers asked for.
        keep_alive: How long the model stays loaded.
        truncate: Whether a text that is too long is cut.
        made_with: Arguments of the clients beside their URL; only models that were made with the
            same share a request.
    """

    def __init__(
        self,
        client: Client,
        async_client: LoopClient,
        models: ModelSource,
        *,
        model: str,
        options: Mapping[str, Any],
        dimensions: int | None = None,
        keep_alive: float | str | None = None,
        truncate: bool = False,
        made_with: Mapping[str, Any],
    ) -> None:
        self._client = client
        self._async_client = async_client
        self._made_with = made_with  # kept alive: the identity may name parts of it by their ids
        self.models = models
        self.model = normal_model(model)
        self.options = {name: value for name, value in options.items() if value is not None}
        self.dimensions = dimensions
        self.truncate = truncate
        self._sent: dict[str, Any] = {
            "model": model,
            "options": self.options,
            "dimensions": dimensions,
            "keep_alive": keep_alive,
        }
        http = client._client
        self.identity = (
            str(http.base_url),
            tuple(sorted(http.headers.items())),
            told(made_with),
            told(self._sent | {"model": self.model}),
            truncate,
        )

    def embed(self, texts: Sequence[str], *, truncate: bool) -> Sequence[Sequence[float]]:
        """Send one request."""
        return self._client.embed(input=texts, truncate=truncate, **self._sent).embeddings

    async def aembed(self, texts: Sequence[str], *, truncate: bool) -> Sequence[Sequence[float]]:
        """Like `embed`, awaited."""
        reply = await self._async_client.embed(input=texts, truncate=truncate, **self._sent)
        vectors: Sequence[Sequence[float]] = reply.embeddings
        return vectors


def told(value: Any) -> Hashable:
    """Return a value that is equal for equal settings; what cannot be compared is its own."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), told(one)) for name, one in value.items()))
    if isinstance(value, list | tuple):
        return tuple(told(one) for one in value)
    plain = value is None or isinstance(value, str | int | float | bytes)
    return (type(value).__name__, repr(value) if plain else id(value))


def stream_chat(
    client: Client, body: Mapping[str, Any], going: Callable[[], bool]
) -> Reply | None:
    """Return what a model answers; None when `going` turned False before it had ended."""
    text, complete = [], False
    stream: Any = client.chat(**body, stream=True)
    with closing(stream) as chunks:
        for chunk in chunks:
            text.append(chunk.message.content or "")
            complete = chunk.done_reason == "stop"
            if not chunk.done and not going():
                return None
    return Reply("".join(text), complete)


def resolve_images(messages: Any) -> Any:
    """Return the messages with every image as the bytes that would be sent.

    The client reads a path or encodes bytes; the key has to see what it reads.
    """
    if not any(message.get("images") for message in messages):
        return messages
    return [
        {**m, "images": [Image(value=i).model_dump() for i in m["images"]]}
        if m.get("images")
        else m
        for m in messages
    ]
