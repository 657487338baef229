"""Redis clients with short timeouts and no retries, for every URL that the package takes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.retry
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from aegis_llm.config import safe_url
from aegis_llm.errors import ConfigError

_QUIET: dict[str, Any] = (
    {"driver_info": None} if find_spec("redis.driver_info") else {"lib_name": None}
)
_MANY = 1 << 20  # a pool must not turn a caller away; the server bounds its clients itself


def single_node(url: str) -> bool:
    """Return whether the URL names one server (Sentinel and Cluster have the exact tier only)."""
    return not url.startswith(("redis+sentinel://", "redis+cluster://"))


def sync_client(url: str, timeout_s: float, connect_timeout_s: float) -> Any:
    """Return a blocking client; a Cluster client connects at once, the others when used."""
    options = _options(timeout_s, connect_timeout_s)
    retry = Retry(NoBackoff(), 0)
    if url.startswith("redis+sentinel://"):
        nodes, service, auth = _sentinel(url)
        sentinel = redis.sentinel.Sentinel(
            nodes, sentinel_kwargs={**options, "retry": retry}, **options, retry=retry, **auth
        )
        return sentinel.master_for(service)
    if url.startswith("redis+cluster://"):
        nodes, _, auth = _sentinel(url)
        starts = [redis.cluster.ClusterNode(host, port) for host, port in nodes]
        return redis.cluster.RedisCluster(startup_nodes=starts, retry=retry, **options, **auth)
    pool = redis.ConnectionPool.from_url(url, max_connections=_MANY, retry=retry, **options)
    return redis.Redis.from_pool(pool)  # owned: closing the client closes its connections


def async_client(url: str) -> Any:
    """Return an awaited client; its deadline is set around each call, not on the socket."""
    options = _options(None, None)
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    if url.startswith("redis+sentinel://"):
        nodes, service, auth = _sentinel(url)
        sentinel = redis.asyncio.sentinel.Sentinel(
            nodes, sentinel_kwargs={**options, "retry": retry}, **options, retry=retry, **auth
        )
        return sentinel.master_for(service)
    if url.startswith("redis+cluster://"):
        nodes, _, auth = _sentinel(url)
        starts = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in nodes]
        return redis.asyncio.cluster.RedisCluster(
            startup_nodes=starts, retry=retry, **options, **auth
        )
    pool = redis.asyncio.ConnectionPool.from_url(
        url, max_connections=_MANY, retry=retry, **options
    )
    return redis.asyncio.Redis.from_pool(pool)


def _options(timeout_s: float | None, connect_timeout_s: float | None) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "protocol": 2,  # no HELLO: a new connection costs no round trip of its own
        **_QUIET,
    }


def _sentinel(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Split `redis+sentinel://user:pw@host:port,host:port/service?db=0` into its parts."""
    parts = urlsplit(url)
    auth_text, _, hosts = parts.netloc.rpartition("@")
    user, _, password = auth_text.partition(":")
    auth: dict[str, Any] = {}
    if user:
        auth["username"] = unquote(user)
    if password:
        auth["password"] = unquote(password)
    if db := parse_qs(parts.query).get("db"):
        auth["db"] = int(db[0])
    default = 26379 if parts.scheme.endswith("sentinel") else 6379
    nodes = []
    for host in filter(None, hosts.split(",")):
        name, _, port = host.rpartition(":") if ":" in host else (host, "", "")
        nodes.append((name, int(port) if port else default))
    service = parts.path.strip("/") or "mymaster"
    if not nodes:
        msg = f"redis_url {safe_url(url)!r} names no host; write {parts.scheme}://host:{default}"
        raise ConfigError(msg)
    return nodes, service, auth
