"""Carries out an order: all servers at once, and Redis beside them; then the semantic index."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import msgspec

from aegis_llm.bootstrap.warming.cache_plan import index_plan, reach_plan
from aegis_llm.bootstrap.warming.keeping import Keeper
from aegis_llm.bootstrap.warming.ordering import Order
from aegis_llm.bootstrap.warming.performing import Awaited, Blocking, Lane
from aegis_llm.bootstrap.warming.plan import server_plan
from aegis_llm.bootstrap.warming.values import (
    Warmed,
    WarmedRedis,
    WarmedServer,
    problems_of,
)
from aegis_llm.bootstrap.warming.wanting import Job
from aegis_llm.bootstrap.warming.wire import AsyncWire
from aegis_llm.config import safe_url
from aegis_llm.drivers import arun, run
from aegis_llm.errors import StoreTrouble
from aegis_llm.scheduler.pool import DaemonPool, await_, wait

T = TypeVar("T")
log = logging.getLogger("aegis_llm")
_GRACE_S = 2.0  # for whoever sends its answer by drops: each has a time limit of its own
_LATE = StoreTrouble("warm_up_timeout")
_pool = DaemonPool("aegis-warm", 32)


def carry_out(order: Order, deadline: float) -> Warmed:
    """Do what is ordered, blocking, until the deadline by the monotonic clock."""
    began = time.monotonic()
    keepers = [Keeper(caches, deadline) for caches in order.caches]
    reached = [_pool.submit(run, reach_plan(k.shown), k.perform) for k in keepers]
    warmed = [_pool.submit(_server, job, deadline) for job in order.jobs]
    servers = [
        _result(future, deadline, partial(_late, job))
        for future, job in zip(warmed, order.jobs, strict=True)
    ]
    redis = []
    for keeper, future in zip(keepers, reached, strict=True):
        found = _result(future, deadline, partial(_unseen, keeper))
        if _wants_index(keeper, servers):
            found = run(index_plan(found), keeper.perform)
        redis.append(found)
    return _told(order, servers, redis, time.monotonic() - began)


async def acarry_out(order: Order, deadline: float) -> Warmed:
    """Like `carry_out`, awaited."""
    began = time.monotonic()
    keepers = [Keeper(caches, deadline) for caches in order.caches]
    reached = [arun(reach_plan(keeper.shown), keeper.aperform) for keeper in keepers]
    found: Any = await asyncio.gather(*(_aserver(j, deadline) for j in order.jobs), *reached)
    servers, redis = found[: len(order.jobs)], found[len(order.jobs) :]
    for place, keeper in enumerate(keepers):
        if _wants_index(keeper, servers):
            redis[place] = await arun(index_plan(redis[place]), keeper.aperform)
    return _told(order, servers, redis, time.monotonic() - began)


async def in_thread(call: Callable[[], T]) -> T:
    """Await what reads files when it is called first, as imports do."""
    done: T = await await_(_pool.submit(call), threading.TIMEOUT_MAX, _LATE)
    return done


def waited(order: Order) -> Warmed:
    """Return the result of a call that waited for another one until its time was over."""
    why = f"is still being warmed by another call after {order.timeout_s:g} s"
    shown = [safe_url(job.server.url) for job in order.jobs]
    servers = [WarmedServer(url=url, problem=f"{url} {why}") for url in shown]
    return _told(order, servers, [], order.timeout_s)


def _server(job: Job, deadline: float) -> WarmedServer:
    try:
        blocking = Blocking(Lane(job.server, job.fleet, job.scheduler, deadline))
        try:
            return run(server_plan(job.wanted), blocking.perform)
        finally:
            blocking.close()
    except Exception as exc:  # noqa: BLE001 - whatever it is, the models work without this
        return _broken(job, exc)


async def _aserver(job: Job, deadline: float) -> WarmedServer:
    lane = Lane(job.server, job.fleet, job.scheduler, deadline)
    try:
        wire = await await_(_pool.submit(AsyncWire, job.server, lane.left), lane.left(), _LATE)
        awaited = Awaited(lane, wire)
        try:
            return await arun(server_plan(job.wanted), awaited.perform)
        finally:
            await awaited.aclose()
    except Exception as exc:  # noqa: BLE001 - whatever it is, the models work without this
        return _broken(job, exc)


def _result(future: Future[Any], deadline: float, instead: Any) -> Any:
    try:
        return wait(future, max(0.0, deadline - time.monotonic()) + _GRACE_S, _LATE)
    except StoreTrouble:
        return instead()


def _late(job: Job) -> WarmedServer:
    shown = safe_url(job.server.url)
    return WarmedServer(url=shown, problem=f"{shown} was given up: it answers without end")


def _unseen(keeper: Keeper) -> WarmedRedis:
    return WarmedRedis(url=keeper.shown, problem=f"Redis at {keeper.shown} did not answer in time")


def _broken(job: Job, exc: Exception) -> WarmedServer:
    """Return the result where this package fails: a warm-up never costs the start of a program."""
    shown = safe_url(job.server.url)
    log.error("the warm-up of %s failed", shown, exc_info=exc)
    return WarmedServer(url=shown, problem=f"the warm-up of {shown} failed: {exc!r}")


def _wants_index(keeper: Keeper, servers: Sequence[WarmedServer]) -> bool:
    """Return whether to embed a text; where the model is not there it would only take time."""
    cold = any(
        one.problem
        or any(m.kind == "embedding" and m.state in ("missing", "failed") for m in one.models)
        for one in servers
    )
    return keeper.searches and not cold


def _told(
    order: Order, servers: Sequence[WarmedServer], redis: Sequence[WarmedRedis], seconds: float
) -> Warmed:
    shown = tuple(msgspec.structs.replace(one, url=safe_url(one.url)) for one in servers)
    first = next((one for one in redis if one.problem), redis[0] if redis else None)
    return Warmed(
        ok=not problems_of(shown, first),
        seconds=seconds,
        servers=shown,
        redis=first,
        notes=order.notes,
    )
