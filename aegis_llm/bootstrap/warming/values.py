"""What a warm-up did: values with a sentence for whatever is not as it should be. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["chat", "embedding"]
State = Literal["loaded", "already", "reloaded", "missing", "failed"]
"""What became of a model: `already` was loaded as the requests want it; `reloaded` was loaded
with other options."""
IndexState = Literal["created", "already", "none", "failed"]


class WarmedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one server.

    Attributes:
        options: Runner options that it was loaded with, as the requests send them.
        load_s: Seconds that the load took; None: nothing was loaded.
        again_s: Load time that a request right after reports; None: none was sent.
        context: Tokens of one slot; 0: the server does not tell.
        size: Bytes it takes, of which `size_vram` on GPUs.
        expires_at: When it is unloaded if nobody asks it, RFC 3339.
        note: What is worth knowing and nothing to mend.
        problem: What is not as it should be, and what to do.
    """

    name: str
    kind: Kind
    state: State
    options: dict[str, Any] = {}
    load_s: float | None = None
    again_s: float | None = None
    context: int = 0
    size: int = 0
    size_vram: int = 0
    expires_at: str = ""
    note: str = ""
    problem: str = ""


class WarmedPrefix(msgspec.Struct, frozen=True, kw_only=True):
    """One beginning of prompts on one server.

    Attributes:
        prefix: Its place among those that were given, from 1.
        tokens: Of the prompt that was sent: the prefix, and a few around it.
        sent: Requests that carried it at the same time.
        read: Of them those whose slot had to read it; the others found it there.
        seconds: From the first request to the last answer.
        problem: What is not as it should be, and what to do.
    """

    model: str
    prefix: int
    tokens: int = 0
    sent: int = 0
    read: int = 0
    seconds: float = 0.0
    problem: str = ""


class WarmedServer(msgspec.Struct, frozen=True, kw_only=True):
    """One Ollama; its URL is shown without a password."""

    url: str
    version: str | None = None
    seconds: float = 0.0
    models: tuple[WarmedModel, ...] = ()
    prefixes: tuple[WarmedPrefix, ...] = ()
    problem: str = ""


class WarmedRedis(msgspec.Struct, frozen=True, kw_only=True):
    """Redis; its URL is shown without a password.

    Attributes:
        version: None: it may not be asked.
        search: Whether it has the Query Engine, which the semantic tier needs.
        ping_ms: One round trip.
        index: The semantic index; `none`: none is needed, or none can be.
        digests: Whether the digests of the models are known, without which nothing is cached.
    """

    url: str
    version: str | None = None
    search: bool | None = None
    ping_ms: float | None = None
    index: IndexState = "none"
    digests: bool | None = None
    seconds: float = 0.0
    note: str = ""
    problem: str = ""


class Warmed(msgspec.Struct, frozen=True, kw_only=True):
    """What a warm-up did; fields are added, never renamed, while `v` stays 1.

    Attributes:
        ok: Whether there is no problem.
        seconds: In all.
        redis: None: it was not looked at.
    """

    v: Literal[1] = 1
    ok: bool
    seconds: float
    servers: tuple[WarmedServer, ...] = ()
    redis: WarmedRedis | None = None
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether an Ollama could not do what was wanted; Redis is none that models need."""
        return any(
            server.problem
            or any(model.state in ("missing", "failed") for model in server.models)
            or any(not prefix.tokens for prefix in server.prefixes)
            for server in self.servers
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """What is not as it should be, each with what to do."""
        return problems_of(self.servers, self.redis)

    def __str__(self) -> str:
        """Return one line for a log."""
        told = [f"{_models(server)} at {server.url}" for server in self.servers if server.models]
        if self.redis is not None and self.redis.ping_ms is not None:
            told.append(f"Redis answers in {self.redis.ping_ms:.1f} ms")
        head = "warm" if self.ok else "not all warm"
        return f"{head} after {self.seconds:.1f} s: {'; '.join((*told, *self.problems))}"


def problems_of(servers: tuple[WarmedServer, ...], redis: WarmedRedis | None) -> tuple[str, ...]:
    """Return the problems of all parts, in the order in which they matter."""
    found: list[str] = []
    for server in servers:
        parts: tuple[Any, ...] = (server, *server.models, *server.prefixes)
        found += [part.problem for part in parts if part.problem]
    if redis is not None and redis.problem:
        found.append(redis.problem)
    return tuple(dict.fromkeys(found))


def _models(server: WarmedServer) -> str:
    def shown(model: WarmedModel) -> str:
        took = "" if model.load_s is None else f" in {model.load_s:.1f} s"
        return f"{model.name} {model.state}{took}"

    return ", ".join(map(shown, server.models))
