"""What a Redis says of itself: version, Query Engine, indexes, and how long a round trip takes."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from aegis_llm.stores.redis_commands import reason_of

_PINGS = 3


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What could be found out; None: it may not be asked."""

    version: str | None = None
    search: bool | None = None
    ping_s: float | None = None


def about(client: Any, *, direct: bool = True) -> About:
    """Ask a Redis; raises what the client raises when it does not answer at all.

    `direct`: it is one server. The others are taken to have no Query Engine, as everywhere here.
    """
    client.ping()  # connects
    took = []
    for _ in range(_PINGS):
        started = time.perf_counter()
        client.ping()
        took.append(time.perf_counter() - started)
    searches = _searches(client) if direct else False
    return About(version=_version(client), search=searches, ping_s=min(took))


def indexes(client: Any) -> frozenset[str] | None:
    """Return the names of all indexes; None: it may not be asked, or has none."""
    try:
        listed = client.execute_command("FT._LIST")
    except Exception as exc:
        if _refused(exc):
            return None
        raise
    return frozenset(one.decode() if isinstance(one, bytes) else str(one) for one in listed)


def _version(client: Any) -> str | None:
    try:
        told = client.info("server")
    except Exception as exc:
        if _refused(exc):
            return None
        raise
    nodes = [told, *(node for node in told.values() if isinstance(node, dict))]
    return next((str(node["redis_version"]) for node in nodes if "redis_version" in node), None)


def _searches(client: Any) -> bool | None:
    try:
        client.execute_command("FT._LIST")
    except Exception as exc:
        if reason_of(exc) == "no_query_engine":
            return False
        if _refused(exc):
            return None
        raise
    return True


def _refused(exc: Exception) -> bool:
    return reason_of(exc) in ("redis_no_permission", "no_query_engine", "redis_error")
