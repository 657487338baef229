"""What `bootstrap` is asked for, checked, as what each server and each cache has to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import ollama

from aegis_llm.bootstrap.warming.effects import Model, Wanted
from aegis_llm.bootstrap.warming.reading import named
from aegis_llm.bootstrap.warming.traffic import Cache, Server, Traffic, Warmable
from aegis_llm.config import SchedulerConfig, safe_url
from aegis_llm.errors import ConfigError
from aegis_llm.scheduler.fleet import Fleet
from aegis_llm.scheduler.registry import address
from aegis_llm.values import RUNNER_OPTIONS

Prefix = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]
"""A system prompt; or messages, the last of which a prompt goes on with; or a body with both
`messages` and `tools`."""
KNOWN = frozenset(RUNNER_OPTIONS) | frozenset(ollama.Options.model_fields)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The warm-up of one server."""

    server: Server
    wanted: Wanted
    fleet: Fleet | None
    scheduler: SchedulerConfig


@dataclass(frozen=True, kw_only=True)
class Given:
    """What holds for all models of a call."""

    prefixes: tuple[dict[str, Any], ...] = ()
    keep_alive: float | str | None = None
    num_parallel: int | None = None
    verify: bool = True


def traffics_of(objects: Sequence[Any]) -> list[Traffic]:
    """Return the traffic of some objects, and of the embedders in them.

    Raises:
        ConfigError: An object is none that tells it.
    """
    found: list[Traffic] = []
    for one in objects:
        if not isinstance(one, Warmable):
            msg = (
                f"bootstrap cannot warm a {type(one).__name__}; give the model itself (ChatAegis,"
                " AegisOllama, AegisEmbeddings, AegisEmbedding), or url= and models="
            )
            raise ConfigError(msg)
        traffic = one.traffic()
        found += [traffic, *traffic.beside]
    return found


def jobs_of(traffics: Sequence[Traffic], given: Given) -> list[Job]:
    """Return what each server has to have; the prefixes are those of the first that chats."""
    first = next((traffic for traffic in traffics if traffic.kind == "chat"), None)
    if given.prefixes and first is None:
        msg = "prefixes are given, and no chat model that reads them"
        raise ConfigError(msg)
    servers: dict[str, tuple[Server, list[Traffic]]] = {}
    for traffic in traffics:
        for server in traffic.servers:
            servers.setdefault(address(server.url), (server, []))[1].append(traffic)
    return [_job(server, here, first, given) for server, here in servers.values()]


def _job(server: Server, here: list[Traffic], first: Traffic | None, given: Given) -> Job:
    reads = first is not None and first in here
    lead = first if first is not None and reads else here[0]
    models: dict[tuple[str, str], Model] = {}
    for traffic in (lead, *(one for one in here if one is not lead)):
        model = Model(
            name=traffic.model,
            kind=traffic.kind,
            options=dict(traffic.options),
            extra=dict(traffic.extra),
            keep_alive=traffic.keep_alive if given.keep_alive is None else given.keep_alive,
        )
        key = (model.kind, named(model.name))
        models[key] = _larger(models.get(key), model)
    wanted = Wanted(
        url=server.url,
        models=tuple(models.values()),
        prefixes=given.prefixes if reads else (),
        num_parallel=given.num_parallel,
        verify=given.verify,
    )
    return Job(server=server, wanted=wanted, fleet=lead.fleet, scheduler=lead.scheduler)


def caches_of(traffics: Sequence[Traffic]) -> list[tuple[Cache, ...]]:
    """Return the caches, those of one namespace on one Redis together."""
    found: dict[tuple[str, str], dict[int, Cache]] = {}
    for traffic in traffics:
        if (cache := traffic.cache) is not None:
            key = (cache.config.redis_url, cache.config.namespace)
            same = found.setdefault(key, {})
            known = same.get(id(cache.store))
            if known is not None:
                models = tuple(dict.fromkeys(known.models + cache.models))
                cache = replace(known, models=models)
            same[id(cache.store)] = cache
    return [tuple(caches.values()) for caches in found.values()]


def bodies_of(prefixes: Sequence[Prefix] | str) -> tuple[dict[str, Any], ...]:
    """Return prefixes as parts of the bodies of chats.

    Raises:
        ConfigError: One is none.
    """
    if isinstance(prefixes, str | Mapping):
        prefixes = [prefixes]
    return tuple(_body(place, one) for place, one in enumerate(prefixes, 1))


def _body(place: int, prefix: Prefix) -> dict[str, Any]:
    if isinstance(prefix, str):
        body: dict[str, Any] = {"messages": [{"role": "system", "content": prefix}]}
        usable = bool(prefix.strip())
    elif isinstance(prefix, Mapping):
        body = dict(prefix)
        usable = {"messages"} <= set(body) <= {"messages", "tools", "think"}
    else:
        body, usable = {"messages": prefix}, True
    messages = body["messages"] if usable else ()
    if isinstance(messages, Sequence) and not isinstance(messages, str) and messages:
        body["messages"] = [dict(m) if isinstance(m, Mapping) else {} for m in messages]
        if all("role" in message for message in body["messages"]):
            return body
    msg = (
        f"prefix {place} is not usable; give a system prompt, or messages like"
        ' [{"role": "system", "content": "..."}]'
    )
    raise ConfigError(msg)


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options of requests.

    Raises:
        ConfigError: Ollama knows no option of that name.
    """
    for name in options:
        if name not in KNOWN:
            near = get_close_matches(str(name), KNOWN, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see Ollama's list of parameters"
            msg = f"Ollama has no option {name!r}; {hint}"
            raise ConfigError(msg)
    return dict(options)


def notes_of(traffics: Sequence[Traffic], given: Given) -> tuple[str, ...]:
    """Return what a person should know that no server tells."""
    if given.keep_alive is None:
        return ()
    return tuple(
        f"each request of {one.model} at {safe_url(one.servers[0].url)} carries"
        f" keep_alive={one.keep_alive!r}, which holds from the first one on in place of"
        f" {given.keep_alive!r}: give it to the model itself"
        for one in traffics
        if one.keep_alive is not None and one.keep_alive != given.keep_alive
    )


def _larger(known: Model | None, model: Model) -> Model:
    """Return the one with the larger context: the others' requests fit into it."""
    if known is None:
        return model
    ours, theirs = model.options.get("num_ctx"), known.options.get("num_ctx")
    numbers = isinstance(ours, int) and (
        theirs is None or (isinstance(theirs, int) and ours > theirs)
    )
    return model if numbers else known
