"""Several simulated Ollamas, which may die and come back."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aegis_llm.testing import OllamaSimulator, SimulatedModel

MODEL = "llama3.1:8b"
Models = Mapping[str, SimulatedModel] | Iterable[str]


class Servers:
    """Makes simulators and stops them."""

    def __init__(self) -> None:
        self.running: list[OllamaSimulator] = []

    def start(self, models: Models = (MODEL,), **settings: Any) -> OllamaSimulator:
        """Start one more server."""
        made = OllamaSimulator(models, **settings).start()
        self.running.append(made)
        return made

    def several(self, count: int, **settings: Any) -> list[OllamaSimulator]:
        """Start some servers that have the same model."""
        return [self.start(**settings) for _ in range(count)]

    def stop(self) -> None:
        """Stop them all."""
        for server in self.running:
            server.stop()


@contextmanager
def servers_running() -> Iterator[Servers]:
    """Lend servers."""
    made = Servers()
    try:
        yield made
    finally:
        made.stop()


def urls(*servers: OllamaSimulator) -> list[str]:
    """Return the addresses of servers."""
    return [server.base_url for server in servers]


def asked(*servers: OllamaSimulator) -> list[int]:
    """Return how often each server was asked."""
    return [server.count("/api/chat") for server in servers]


def nobody() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def context(name: str) -> str:
    """Return a context of some length, as retrieval finds it."""
    return f"Answer from this context only.\nContext: {name} " + f"{name} is kept in stock. " * 90
