"""The warm-up of the cache: Redis is reached and looked at, the semantic index is made. Pure."""

from __future__ import annotations

import msgspec

from aegis_llm.bootstrap.warming.effects import (
    Clock,
    Digests,
    Dimension,
    HasIndex,
    MakeIndex,
    Reach,
)
from aegis_llm.bootstrap.warming.values import WarmedRedis
from aegis_llm.errors import Trouble
from aegis_llm.plan import Plan
from aegis_llm.stores.redis_about import About

_HELP = {
    "redis_down": "start it, or give its URL",
    "redis_timeout": "it takes connections and does not answer",
    "redis_starting": "it did not answer in time",
    "redis_breaker_open": "it did not answer a moment ago, and is asked again soon",
    "redis_auth": "check user and password in redis_url",
    "redis_loading": "it reads its data from disk still",
}


def reach_plan(shown: str) -> Plan[WarmedRedis]:
    """Connect; a Redis that is down is a problem of the result, and costs no answer later."""
    began = yield Clock()
    try:
        about: About = yield Reach()
        known: bool | None = yield Digests()
    except Trouble as exc:
        ended = yield Clock()
        hint = _HELP.get(exc.reason, str(exc))
        problem = f"Redis at {shown}: {exc.reason}; {hint}. Until then nothing is cached"
        return WarmedRedis(url=shown, seconds=ended - began, problem=problem)
    ended = yield Clock()
    return WarmedRedis(
        url=shown,
        version=about.version,
        search=about.search,
        ping_ms=None if about.ping_s is None else 1000 * about.ping_s,
        digests=known,
        seconds=ended - began,
    )


def index_plan(redis: WarmedRedis) -> Plan[WarmedRedis]:
    """Make the semantic index of the embedder, unless it is there."""
    if redis.problem:
        return redis
    began = yield Clock()
    if redis.search is False:
        note = "only exact repeats hit: the semantic tier needs Redis 8 or Redis Stack"
        return msgspec.structs.replace(redis, note=note)
    try:
        dimension: int = yield Dimension()
        there: bool | None = yield HasIndex(dimension)
        yield MakeIndex(dimension)
    except Trouble as exc:
        ended = yield Clock()
        problem = f"the semantic index at {redis.url} could not be made: {exc}"
        return msgspec.structs.replace(
            redis, index="failed", seconds=redis.seconds + ended - began, problem=problem
        )
    ended = yield Clock()
    return msgspec.structs.replace(
        redis,
        index="already" if there else "created",
        seconds=redis.seconds + ended - began,
    )
