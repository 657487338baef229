"""The stand-ins for Ollama's clients on servers of a test."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from ollama import AsyncClient, Client

from aegis_llm.config import SchedulerConfig
from aegis_llm.ollama_client import LoopClient
from aegis_llm.scheduled_client import ScheduledAsyncClient, ScheduledClient
from aegis_llm.scheduler.dispatch import Dispatcher
from aegis_llm.scheduler.fleet import Fleet, Link, Seen

MODEL = "llama3.1:8b"
LONG = {"role": "user", "content": "Count from one to ten, slowly."}
BODY = {"model": MODEL, "messages": [LONG]}


class Asking:
    """A scheduled client of each kind on some servers, which share their queues."""

    def __init__(self, *urls: str, slots: int | None = 1, retries: int = 2) -> None:
        config = SchedulerConfig(num_parallel=slots, retries=retries)
        self.queues = [Dispatcher(config, url) for url in urls]
        links = [Link(q.server, q.server, q, Bare()) for q in self.queues]
        self.tries = 0
        self.clients = [self._counting(Client(host=url, verify=False)) for url in urls]
        awaited = [LoopClient(partial(AsyncClient, host=url, verify=False)) for url in urls]
        self.blocking = ScheduledClient(self.clients, Fleet(links, config))
        self.awaited = ScheduledAsyncClient(
            [self._counting(client) for client in awaited], Fleet(links, config)
        )

    def ask(self, kind: str, stream: bool, **body: Any) -> str:
        """Return the whole answer."""
        asked = {**BODY, **body}
        if kind == "awaited":
            return asyncio.run(self.aask(stream, asked))
        if not stream:
            return str(self.blocking.chat(**asked).message.content)
        return "".join(part.message.content for part in self.blocking.chat(**asked, stream=True))

    async def aask(self, stream: bool, asked: Any = BODY) -> str:
        """Like `ask`, awaited."""
        if not stream:
            return str((await self.awaited.chat(**asked)).message.content)
        parts = await self.awaited.chat(**asked, stream=True)
        return "".join([part.message.content async for part in parts])

    def _counting(self, client: Any) -> Any:
        chat = client.chat

        def counted(**body: Any) -> Any:
            self.tries += 1
            return chat(**body)

        client.chat = counted
        return client


class Bare:
    """Says that its server has no models."""

    def look(self) -> Seen:
        """Return nothing."""
        return Seen({}, ())
