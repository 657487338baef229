"""Puts a bench together and runs it: clients, cache, and what is cleaned up behind it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx
import ollama

from aegis_llm.bench.memory import Memory
from aegis_llm.bench.plan import Speed
from aegis_llm.bench.prompts import traffic
from aegis_llm.bench.running import Bench, Tell
from aegis_llm.bench.sending import Around
from aegis_llm.bench.through import Same, Through, bench_config
from aegis_llm.bench.values import Recorded
from aegis_llm.bootstrap.probing.server import login_of
from aegis_llm.config import AegisConfig, safe_url
from aegis_llm.keys import normal_model
from aegis_llm.ports import Embedder

_READY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a bench runs against.

    Attributes:
        url: The server.
        config: Settings of the cache; None: nothing goes through the package.
        embedder: For the semantic tier.
        redis_url: Whose memory is looked at; None: nobody's.
        here: Whether the server runs on this machine.
        timeout_s: The longest that one request may take.
        tell: Hears of each step.
        told: Hears of the speed that the warm-up shows.
    """

    url: str
    config: AegisConfig | None = None
    embedder: Embedder | None = None
    redis_url: str | None = None
    here: bool = True
    timeout_s: float = 600.0
    tell: Tell = lambda _n, _of, _name: None
    told: Callable[[Speed], None] = lambda _speed: None


async def measure(recorded: Recorded, job: Job) -> None:
    """Measure everything that the settings ask for; whatever ends it, `recorded` is usable.

    Raises:
        StoppedError: The server answers no more, or never did.
    """
    bare, login = login_of(job.url)
    known = ollama.Client(host=bare, headers=login)._client
    base = str(known.base_url)
    # As many connections as callers: none may wait for one here.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    timeout = httpx.Timeout(job.timeout_s, connect=10.0)
    async with (
        httpx.AsyncClient(
            base_url=base, headers=known.headers, limits=limits, timeout=timeout
        ) as client,
        _through(recorded, job, base, login) as through,
    ):
        around = Around(client, time.perf_counter)
        memory = Memory(
            around, normal_model(recorded.settings.model), here=job.here, redis_url=job.redis_url
        )
        await Bench(recorded, around, through, memory, job.tell, job.told).run()


@contextlib.asynccontextmanager
async def _through(
    recorded: Recorded, job: Job, base: str, login: dict[str, str]
) -> AsyncIterator[Through | None]:
    if job.config is None:
        yield None
        return
    config = bench_config(job.config, f"bench-{secrets.token_hex(4)}")
    way = Through(
        base,
        config,
        job.embedder,
        time.perf_counter,
        _same(recorded),
        timeout_s=job.timeout_s,
        login=login,
    )
    try:
        why = await asyncio.to_thread(way.ready, _READY_S)
        if why:
            url = safe_url(config.cache.redis_url)
            recorded.partial = f"Redis at {url} does not answer ({why}): no cache was measured"
            yield None
            return
        yield way
    finally:
        await way.clear()
        await way.aclose()


def _same(recorded: Recorded) -> Same:
    settings = recorded.settings
    asks = traffic(settings.seed, settings.cache, settings.shares)
    meanings = {ask.question: ask.meaning for ask in asks}

    def same(asked: str, stored: str) -> bool | None:
        if asked == stored:
            return True
        known = meanings.get(asked), meanings.get(stored)
        return None if None in known else known[0] == known[1]

    return same
