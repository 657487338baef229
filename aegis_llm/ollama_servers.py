"""Several Ollama servers that answer the same requests, and what each says of its models."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import urlsplit

from ollama import ResponseError

from aegis_llm.config import SchedulerConfig
from aegis_llm.config.urls import UNREADABLE
from aegis_llm.errors import ConfigError
from aegis_llm.keys import normal_model
from aegis_llm.ports import Reply
from aegis_llm.scheduler.fleet import Fleet, Link, Seen, shown
from aegis_llm.scheduler.registry import QUEUES, address
from aegis_llm.wiring import say_once


class Source(Protocol):
    """One server, asked through a client of its own."""

    url: str
    server: str

    def look(self) -> Seen:
        """Return what the server says of its models; raises when it cannot be asked."""

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model."""


class OllamaServers:
    """The source of digests for a fleet: a model has the digest of the first server that has it.

    Servers where the same name is another model get no requests for it.
    """

    def __init__(self, sources: Sequence[Source], fleet: Fleet) -> None:
        self._sources = sources
        self._fleet = fleet
        self.server = ",".join(source.server for source in sources)

    def fetch(self) -> Mapping[str, str]:
        """Return digests by model name.

        Raises:
            ConnectionError: No server can be asked.
        """
        self._fleet.look_now()
        digests = self._fleet.digests()
        if not digests:
            msg = f"none of {self.server} can be asked for its models"
            raise ConnectionError(msg)
        return digests

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model on the first server in service that has it."""
        place = self._fleet.asked_on(str(body.get("model", "")))
        return self._sources[place].chat(body, timeout_s, going)


def fleet_of(sources: Sequence[Source], config: SchedulerConfig) -> Fleet:
    """Return the fleet of these servers; each has one queue in the process."""
    links = [
        Link(shown(s.url), address(s.url), QUEUES.dispatcher(s.url, config), s) for s in sources
    ]
    return Fleet(links, config, QUEUES.group(tuple(link.address for link in links)))


def urls_of(base_url: Any) -> list[Any]:
    """Return the servers that a `base_url` names, each once; a second mention is said.

    A URL that stands alone is left to the framework.

    Raises:
        ConfigError: It is neither a URL nor a list of them.
    """
    if base_url is None or isinstance(base_url, str):
        return [base_url]
    if not base_url or not isinstance(base_url, list | tuple):
        msg = "base_url is not usable; give one URL or a list of them"
        raise ConfigError(msg)
    found: dict[str, str] = {}
    for url in map(_whole, base_url):
        where = address(url)
        if where in found:
            say_once(f"base_url names {shown(url)} twice; it is one server")
        found.setdefault(where, url)
    return list(found.values())


def shown_urls(base_url: Any) -> Any:
    """Return a `base_url` without secrets."""
    if isinstance(base_url, str):
        return shown(base_url)
    return [shown(url) for url in base_url] if base_url else base_url


def _whole(url: Any) -> str:
    """Return a URL with scheme and port, as Ollama's client reads it."""
    if not isinstance(url, str) or not url:
        msg = "base_url is a list of other things than URLs; write http://HOST:PORT"
        raise ConfigError(msg)
    whole = url if "://" in url else f"http://{url}"
    with contextlib.suppress(ValueError):
        parts = urlsplit(whole)
        port = parts.port
        if parts.scheme in ("http", "https") and parts.hostname and shown(url) != UNREADABLE:
            with_port = port or "://" in url
            return whole if with_port else parts._replace(netloc=f"{parts.netloc}:11434").geturl()
    msg = f"base_url {shown(url)!r} is not usable; write http://HOST:PORT"
    raise ConfigError(msg)


def seen_by(client: Any) -> Seen:
    """Return what a server says through an `ollama.Client`."""
    models = [model for model in client.list().models if model.model and model.digest]
    loaded: list[str] = []
    with contextlib.suppress(ResponseError):  # an old server, or a proxy that lets less through
        loaded = [normal_model(str(model.model)) for model in client.ps().models if model.model]
    return Seen(
        {normal_model(str(model.model)): model.digest for model in models},
        loaded,
        families_of(models),
    )


def families_of(models: Sequence[Any]) -> dict[str, str]:
    """Return the family of each model in a list of `/api/tags`."""
    families = {}
    for model in models:
        family = getattr(getattr(model, "details", None), "family", None)
        if family and model.model:
            families[normal_model(str(model.model))] = str(family)
    return families
