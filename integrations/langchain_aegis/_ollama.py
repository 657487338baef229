"""What is needed of Ollama beside the chat itself: clients per event loop, digests, images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ollama import AsyncClient, Client, Image

from aegis_llm.scheduler.loops import PerLoop
from aegis_llm.wiring import server_name

_TAGS_TIMEOUT_S = 5.0


class LoopClient:
    """Stands for an `ollama.AsyncClient`, with a real one for each event loop."""

    def __init__(self, host: str | None, options: Mapping[str, Any]) -> None:
        self._clients: PerLoop[AsyncClient] = PerLoop(
            lambda: AsyncClient(host=host, **options),
            lambda client: client.close(),  # type: ignore[no-untyped-call]
        )

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            client = await self._clients.get()
            return await getattr(client, name)(*args, **kwargs)

        return call


class OllamaModels:
    """Asks one Ollama for the digests of its models."""

    def __init__(self, host: str | None, options: Mapping[str, Any]) -> None:
        self._host = host
        self._options = {**options, "timeout": _TAGS_TIMEOUT_S}
        self.server = server_name(str(Client(host=host)._client.base_url))

    def fetch(self) -> Mapping[str, str]:
        """Return digests by model name, from `/api/tags`."""
        client = Client(host=self._host, **self._options)
        try:
            models = client.list().models
        finally:
            client.close()  # type: ignore[no-untyped-call]
        return {str(m.model): m.digest for m in models if m.model and m.digest}


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
