"""Several Ollama servers that answer the same requests, and what each says of its models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aegis_llm.config import SchedulerConfig
from aegis_llm.errors import ConfigError
from aegis_llm.keys import normal_model
from aegis_llm.ports import Reply
from aegis_llm.scheduler.fleet import Fleet, Link, Seen, shown
from aegis_llm.scheduler.registry import QUEUES, address

log = logging.getLogger("aegis_llm")


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
        digests = self._fleet.placing.digests()
        if not digests:
            msg = f"none of {self.server} can be asked for its models"
            raise ConnectionError(msg)
        return digests

    def chat(
        self, body: Mapping[str, Any], timeout_s: float, going: Callable[[], bool]
    ) -> Reply | None:
        """Ask a model on the first server that is in service."""
        out = self._fleet.placing.out()
        place = next((p for p in range(len(self._sources)) if p not in out), 0)
        return self._sources[place].chat(body, timeout_s, going)


def fleet_of(sources: Sequence[Source], config: SchedulerConfig) -> Fleet:
    """Return the fleet of these servers; each has one queue in the process."""
    return Fleet([Link(shown(s.url), QUEUES.dispatcher(s.url, config), s) for s in sources])


def urls_of(base_url: Any) -> list[Any]:
    """Return the servers that a `base_url` names, each once; a second mention is said.

    Raises:
        ConfigError: It is a list without a URL.
    """
    if base_url is None or isinstance(base_url, str):
        return [base_url]
    urls: list[Any] = list(base_url)
    if not urls or not all(isinstance(url, str) and url for url in urls):
        msg = "base_url is not usable; give one URL or a list of them"
        raise ConfigError(msg)
    found: dict[str, str] = {}
    for url in urls:
        where = address(url if "://" in url else f"http://{url}")
        if where in found:
            log.warning("base_url names %s twice; it is one server", shown(url))
        found.setdefault(where, url)
    return list(found.values())


def seen_by(client: Any) -> Seen:
    """Return what a server says through an `ollama.Client`."""
    models = [model for model in client.list().models if model.model and model.digest]
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
