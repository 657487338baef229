"""The warm-up of one server, as a generator of effects that does no I/O itself.

Load every model, fill the prefixes, then look at what is loaded: a model that was pushed out by a
later one shows only at the end. One model that cannot be warmed costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from aegis_llm.bootstrap.warming import reading as r
from aegis_llm.bootstrap.warming.effects import (
    Ask,
    CallError,
    Clock,
    Model,
    Said,
    Send,
    Settle,
    Tell,
    Wanted,
)
from aegis_llm.bootstrap.warming.filling import HELLO, chat_body, fill
from aegis_llm.bootstrap.warming.values import WarmedModel, WarmedPrefix, WarmedServer
from aegis_llm.plan import Plan
from aegis_llm.values import RUNNER_OPTIONS

GLANCE_S = 5.0
"""Longest wait for what a server that works tells at once."""
_LOADED_S = 0.2  # a request to a loaded model reports some milliseconds, 30 in a burst
_NOT_ITS_KIND = "does not support chat"
_UNLOADS = (0, "0", "0s", "0m", "0h")


def server_plan(wanted: Wanted) -> Plan[WarmedServer]:
    """Warm what is wanted; whatever goes wrong is a problem of the result."""
    began = yield Clock()
    try:
        version = yield from _version()
    except CallError as exc:
        ended = yield Clock()
        problem = r.unreachable(wanted.url, exc)
        return WarmedServer(url=wanted.url, seconds=ended - began, problem=problem)
    there = r.names((yield from _glance("/api/tags")))
    before = r.loaded((yield from _glance("/api/ps")))
    done = []
    for model in wanted.models:
        loaded = yield from _load(model, wanted.url, there, before or {})
        done.append(loaded)
    first = next((place for place, m in enumerate(wanted.models) if m.kind == "chat"), None)
    prefixes: list[WarmedPrefix] = []
    if wanted.prefixes and first is not None and _is_warm(done[first]):
        sent = wanted.models[first]
        prefixes, again_s = yield from fill(sent, done[first].options, wanted)
        done[first] = msgspec.structs.replace(done[first], again_s=again_s)
    for place, one in enumerate(done):
        if wanted.verify and _is_warm(one) and one.again_s is None:
            done[place] = yield from _asked_again(one, wanted.models[place])
    now = r.loaded((yield from _glance("/api/ps")))
    for place, one in enumerate(done):
        if _is_warm(one):
            seen = yield from _looked_at(one, wanted.url, now)
            done[place] = _with(seen, load_s=None) if seen.state == "already" else seen
    ended = yield Clock()
    return WarmedServer(
        url=wanted.url,
        version=version,
        seconds=ended - began,
        models=tuple(done),
        prefixes=tuple(prefixes),
    )


def _version() -> Plan[str | None]:
    """Return the version; None where a proxy keeps it back.

    Raises:
        CallError: No Ollama answers there.
    """
    try:
        said: Said = yield Ask("GET", "/api/version", most_s=GLANCE_S)
    except CallError as exc:
        if exc.why == "refused":
            return None
        raise
    version = said.body.get("version")
    return version if isinstance(version, str) else None


def _glance(path: str) -> Plan[Mapping[str, Any] | None]:
    """Return what a server tells; None where it does not."""
    try:
        said: Said = yield Ask("GET", path, most_s=GLANCE_S)
    except CallError:
        return None
    return said.body


def _load(
    model: Model, url: str, there: Collection[str] | None, before: Mapping[str, r.Resident]
) -> Plan[WarmedModel]:
    failed = WarmedModel(name=model.name, kind=model.kind, state="failed")
    if there is not None and r.named(model.name) not in there:
        return _with(failed, state="missing", problem=r.missing(model.name, url))
    if model.keep_alive in _UNLOADS:
        problem = f"each request unloads {model.name}: leave keep_alive={model.keep_alive!r} out"
        return _with(failed, problem=problem)
    options: dict[str, Any] = {
        name: model.options[name] for name in RUNNER_OPTIONS if model.options.get(name) is not None
    }
    note = ""
    if model.kind == "chat":
        own, options = options, (yield Settle(model.name, options))
        note = r.agreed(own, options)
    body: dict[str, Any] = {"model": model.name, "options": options}
    if model.keep_alive is not None:
        body["keep_alive"] = model.keep_alive
    body |= {"messages": [], "stream": False} if model.kind == "chat" else {"input": []}
    try:
        said: Said = yield Ask("POST", _PATHS[model.kind], body)
    except CallError as exc:
        if model.kind == "chat" and _NOT_ITS_KIND in exc.text:
            embeds = msgspec.structs.replace(model, kind="embedding")
            return (yield from _load(embeds, url, there, before))
        if model.kind == "chat" and exc.why == "refused":
            yield Tell(model.name, options, False)
        return _with(failed, options=options, problem=r.not_loaded(model.name, url, exc))
    if model.kind == "chat":
        yield Tell(model.name, options, True)
    was = before.get(r.named(model.name))
    return WarmedModel(
        name=model.name,
        kind=model.kind,
        state="loaded" if was is None else "reloaded" if said.seconds >= _LOADED_S else "already",
        options=options,
        load_s=said.seconds,
        context=0 if was is None else was.context_length,
        note=note,
    )


_PATHS = {"chat": "/api/chat", "embedding": "/api/embed"}


def _asked_again(one: WarmedModel, model: Model) -> Plan[WarmedModel]:
    """Send a request as the traffic does, and see whether it loads anything."""
    try:
        if one.kind == "chat":
            (said,) = yield Send((chat_body(model, one.options, {"messages": [HELLO]}),))
            if isinstance(said, CallError):
                raise said
        else:
            body: dict[str, Any] = {"model": one.name, "input": "Hi", "options": model.options}
            if model.keep_alive is not None:
                body["keep_alive"] = model.keep_alive
            said = yield Ask("POST", "/api/embed", body)
    except CallError as exc:
        return _with(one, problem=f"{one.name} is loaded and does not answer: {r.said(exc)}")
    return _with(one, again_s=r.seconds_of(said.body, "load"))


def _looked_at(
    one: WarmedModel, url: str, now: Mapping[str, r.Resident] | None
) -> Plan[WarmedModel]:
    """Compare a model with what the server tells of it now."""
    if one.again_s is not None and one.again_s > max(_LOADED_S, (one.load_s or 0.0) / 4):
        one = _with(one, problem=one.problem or r.loads_again(one.name, url, one.again_s))
    if now is None:
        return _noted(one, "the server does not tell what is loaded (/api/ps)")
    there = now.get(r.named(one.name))
    if there is None:
        return _with(one, problem=one.problem or r.pushed_out(one.name, url))
    if one.state == "already" and one.context != there.context_length:
        one = _with(one, state="reloaded")
    note, problem = r.placed(there)
    asked = one.options.get("num_ctx")
    if asked is not None and there.context_length not in (0, asked):
        trained = yield from _trained(one.name)
        if trained == there.context_length < asked:
            one = _noted(one, f"its context is {trained}, for which it was trained, not {asked}")
        else:
            problem = (
                f"{one.name} has a context of {there.context_length} tokens in place of {asked}:"
                " another client asks for that; give all clients the same num_ctx"
            )
    return _with(
        _noted(one, note),
        context=there.context_length,
        size=there.size,
        size_vram=there.size_vram,
        expires_at=there.expires_at,
        problem=one.problem or problem,
    )


def _trained(model: str) -> Plan[int | None]:
    try:
        said: Said = yield Ask("POST", "/api/show", {"model": model}, most_s=GLANCE_S)
    except CallError:
        return None
    return r.trained_context(said.body)


def _noted(one: WarmedModel, note: str) -> WarmedModel:
    return _with(one, note="; ".join(filter(None, (one.note, note))))


def _is_warm(one: WarmedModel) -> bool:
    return one.state not in ("missing", "failed")


def _with(one: WarmedModel, **changed: Any) -> WarmedModel:
    return msgspec.structs.replace(one, **changed)
