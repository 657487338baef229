"""Asks a Redis what it is; what it writes for that goes within a second."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import redis.exceptions

from aegis_llm.bootstrap.doctor.problem import RedisSeen
from aegis_llm.config import safe_url
from aegis_llm.keys import SCHEMA
from aegis_llm.stores.redis_clients import single_node, sync_client
from aegis_llm.stores.redis_commands import Command, reason_of

_TIMEOUT_S = 2.0
_PINGS = 21
_GOES_MS = 1000
_WITHOUT_END = ("HSET", "ZADD")
_ENDS = {"PEXPIRE", "DEL", "UNLINK"}


def ask(
    url: str, namespace: str = "default", *, pings: int = _PINGS, timeout_s: float = _TIMEOUT_S
) -> RedisSeen:
    """Return what the Redis of a URL shows; it raises nothing.

    Each command that the cache uses is tried once, on a key of its own that goes after a second:
    only so is it known what the user may do.
    """
    shown = safe_url(url)
    try:
        client = sync_client(url, timeout_s, timeout_s)
    except Exception as exc:  # noqa: BLE001 - a cluster's is no RedisError, a bad option's a TypeError
        return RedisSeen(url=shown, reason=reason_of(exc), said=_said(exc, url))
    try:
        latency = _latency(client, pings)
        fields = _fields(client) | _kept(client)
        denied = _denied(client, namespace)
        indexes, search = _indexes(client, namespace, url)
        return RedisSeen(
            url=shown,
            answers=True,
            latency_s=latency,
            user=unquote(urlsplit(url).username or "") or "default",
            denied=denied,
            indexes=indexes,
            search=search,
            **fields,
        )
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is a problem that is told
        return RedisSeen(url=shown, reason=reason_of(exc), said=_said(exc, url))
    finally:
        client.close()


def _said(error: BaseException, url: str) -> str:
    """Return an error's text without what may be the password."""
    text = str(error)[:200]
    try:
        secret = unquote(urlsplit(url).password or "")
    except ValueError:
        return type(error).__name__
    return text.replace(secret, "***") if secret else text


def _latency(client: Any, pings: int) -> float:
    """Return the median of some PINGs, the first one left out: it connects."""
    client.ping()
    times = []
    for _ in range(pings):
        begun = time.perf_counter()
        client.ping()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _fields(client: Any) -> dict[str, Any]:
    """Return what INFO tells; nothing where it is not allowed."""
    try:
        told = client.info()
    except redis.exceptions.ResponseError:
        return {}
    if told and all(isinstance(value, dict) for value in told.values()):
        told = next(iter(told.values()))  # of a cluster: its first node stands for all
    return {
        "version": _text(told.get("redis_version")),
        "replica": told.get("role") in ("slave", "replica"),
        "used": _whole(told.get("used_memory")),
        "maxmemory": _whole(told.get("maxmemory")),
        "memory": _whole(told.get("total_system_memory")) or None,
        "policy": _text(told.get("maxmemory_policy")),
        "evicted": _whole(told.get("evicted_keys")) or 0,
        "save_failed": told.get("rdb_last_bgsave_status") == "err",
    }


def _kept(client: Any) -> dict[str, Any]:
    """Return how it keeps its data; nothing where CONFIG is not allowed."""
    try:
        told = client.config_get("save", "appendonly", "appendfsync")
    except (redis.exceptions.RedisError, TypeError):
        return {}
    if told and all(isinstance(value, dict) for value in told.values()):
        told = next(iter(told.values()))
    appends = told.get("appendonly") == "yes"
    return {
        "saves": appends or bool(told.get("save")),
        "always_syncs": appends and told.get("appendfsync") == "always",
    }


def _denied(client: Any, namespace: str) -> tuple[str, ...]:
    """Return the commands that the user may not run, by trying them.

    Nothing is written that could not be taken away again.
    """
    key = f"aegis:{SCHEMA}:{namespace}:doctor:{secrets.token_hex(8)}"
    denied: list[str] = []
    try:
        for name, command in _tried(key):
            if name in _WITHOUT_END and set(denied) >= _ENDS:
                continue
            try:
                client.execute_command(*command)
            except redis.exceptions.NoPermissionError:
                denied.append(name)
            except redis.exceptions.ResponseError as exc:
                if "noperm" in str(exc).lower() or "no permissions" in str(exc).lower():
                    denied.append(name)
    finally:
        _remove(client, [f"{key}{mark}" for mark in "shzl"])
    return tuple(dict.fromkeys(denied))


def _tried(key: str) -> Iterable[tuple[str, Command]]:
    text, fields, scores, line = (f"{key}{mark}" for mark in "shzl")
    yield "SET", ("SET", text, "1", "PX", _GOES_MS)
    yield "GET", ("GET", text)
    yield "MGET", ("MGET", text)
    yield "PEXPIRE", ("PEXPIRE", text, _GOES_MS)
    yield "DEL", ("DEL", text)
    yield "UNLINK", ("UNLINK", line)
    yield "HSET", ("HSET", fields, "field", "1")
    yield "PEXPIRE", ("PEXPIRE", fields, _GOES_MS)
    yield "HGET", ("HGET", fields, "field")
    yield "ZADD", ("ZADD", scores, 1, "member")
    yield "PEXPIRE", ("PEXPIRE", scores, _GOES_MS)
    yield "ZRANGE", ("ZRANGE", scores, 0, 0)
    yield "ZREMRANGEBYSCORE", ("ZREMRANGEBYSCORE", scores, 1, 1)
    yield "WATCH", ("WATCH", text)
    yield "UNWATCH", ("UNWATCH",)
    yield "SCAN", ("SCAN", 0, "MATCH", text, "COUNT", 1)
    yield "PUBLISH", ("PUBLISH", f"{key}:nobody", "")
    yield "INFO", ("INFO", "server")


def _remove(client: Any, keys: list[str]) -> None:
    for command in ("DEL", "UNLINK"):
        try:
            for key in keys:
                client.execute_command(command, key)
        except redis.exceptions.ResponseError:
            continue  # the user may not; what is left goes by itself
        except (redis.exceptions.RedisError, OSError):
            return
        return


def _indexes(client: Any, namespace: str, url: str) -> tuple[tuple[str, ...] | None, bool | None]:
    """Return the indexes of the namespace, and whether there is a Query Engine."""
    if not single_node(url):
        return None, False
    try:
        listed = client.execute_command("FT._LIST")
    except redis.exceptions.ResponseError as exc:
        return None, False if reason_of(exc) == "no_query_engine" else None
    names = [one.decode() if isinstance(one, bytes) else str(one) for one in listed]
    prefix = f"aegis:{SCHEMA}:{namespace}:i:"
    return tuple(sorted(one for one in names if one.startswith(prefix))), True


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
