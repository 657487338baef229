"""What is wrong with a Redis, as a store of answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_llm.bootstrap.doctor.problem import Problem, RedisSeen
from aegis_llm.bootstrap.linting.finding import Level
from aegis_llm.bootstrap.variables import release

_GIB = 1 << 30
_SLOW_S = 0.005
_NEARLY_FULL = 0.9
_OLD = (7, 0, 0)
_SILENT = {
    "redis_auth": ("it refuses the user or the password", "check redis_url: USER:PASSWORD@HOST"),
    "redis_loading": ("it is still loading its data", "wait until `redis-cli ping` says PONG"),
    "redis_timeout": ("it takes no connection or does not reply in 2 s",
                      "look at its machine: `redis-cli --latency`, `redis-cli info`"),
    "redis_error": ("what answers there is no Redis, or does not take the address",
                    "check redis_url: redis://USER:PASSWORD@HOST:6379"),
    "redis_no_permission": ("the user may not even ask whether it is there",
                            "redis-cli ACL SETUSER USER +ping"),
}  # fmt: skip
_STORING = ("GET", "SET", "DEL", "HSET", "PEXPIRE")


def about_redis(seen: RedisSeen, timeout_ms: float) -> Iterator[Problem]:
    """Yield what is wrong; `timeout_ms` is the longest that the cache waits for one reply."""
    if not seen.answers:
        yield _silent(seen)
        return
    yield from _writes(seen)
    yield from _rights(seen)
    yield from _memory(seen)
    yield from _speed(seen, timeout_ms)
    yield from _kept(seen)
    if seen.search is False:
        what = "It has no Query Engine, so only exact repeats are answered from the cache"
        fix = "docker run -d -p 6379:6379 redis:8 (or Redis Stack)"
        yield _problem("no-search", "warning", what, fix)
    elif seen.indexes == ():
        what = "There is no semantic index yet; it is made when the first question is stored"
        yield _problem("no-index", "note", what, "aegis-llm warm makes it beforehand")
    numbers = release(seen.version)
    if numbers is not None and numbers < _OLD:
        what = f"Redis {seen.version} gets no fixes any more"
        yield _problem("old-redis", "warning", what, "Upgrade to Redis 8 or Valkey")


def _problem(rule: str, level: Level, what: str, fix: str) -> Problem:
    return Problem(area="redis", rule=rule, level=level, what=what, fix=fix)


def _silent(seen: RedisSeen) -> Problem:
    why, fix = _SILENT.get(
        seen.reason,
        ("nothing answers there", "docker run -d -p 6379:6379 redis:8, or start redis-server"),
    )
    more = f" ({seen.said})" if seen.said else ""
    what = f"Redis at {seen.url} is of no use: {why}{more}; answers are not cached"
    return _problem(seen.reason.replace("_", "-") or "redis-down", "error", what, fix)


def _writes(seen: RedisSeen) -> Iterator[Problem]:
    if seen.replica:
        what = f"Redis at {seen.url} is a replica, so answers are served and never stored"
        yield _problem("replica", "error", what, "Point redis_url at the primary")
    if seen.save_failed:
        what = "It could not save to disk, and refuses writes while stop-writes-on-bgsave-error is"
        fix = "Free the disk, then redis-cli bgsave; a cache may do without: CONFIG SET save ''"
        yield _problem("save-failed", "error", f"{what} on", fix)


def _rights(seen: RedisSeen) -> Iterator[Problem]:
    if not seen.denied:
        return
    basic = [one for one in seen.denied if one in _STORING]
    names = " ".join(seen.denied)
    loss = "nothing is cached" if basic else "parts of the cache do not work"
    what = f"The user {seen.user} may not run {names} on aegis:*, so {loss}"
    granted = " ".join(f"+{one.lower()}" for one in seen.denied)
    fix = f"redis-cli ACL SETUSER {seen.user} ~aegis:* &aegis:* {granted}"
    yield _problem("no-rights", "error" if basic else "warning", what, fix)


def _memory(seen: RedisSeen) -> Iterator[Problem]:
    limit, used = seen.maxmemory, seen.used or 0
    if limit is None or seen.policy is None:
        return
    set_policy = "redis-cli CONFIG SET maxmemory-policy volatile-ttl"
    keep = "&& redis-cli CONFIG REWRITE"
    if limit == 0:
        of = f" of the machine, {seen.memory / _GIB:.1f} GiB" if seen.memory else ""
        what = f"maxmemory is not set: it may take all memory{of}"
        size = f"{max(1, (seen.memory or 4 * _GIB) // 4 // _GIB)}gb"
        fix = f"redis-cli CONFIG SET maxmemory {size} && {set_policy} {keep}"
        yield _problem("no-maxmemory", "warning", what, fix)
    elif seen.policy == "noeviction":
        full = used > _NEARLY_FULL * limit
        part = f"{used / limit:.0%} of {limit / _GIB:.2f} GiB"
        what = f"When it is full nothing is stored any more (noeviction); {part} are used"
        level: Level = "error" if full else "warning"
        yield _problem("no-eviction", level, what, f"{set_policy} {keep}")
    elif not seen.policy.startswith("volatile-"):
        what = (
            f"With {seen.policy} records of documents may go before their entries, and "
            "invalidate() then looks at every entry"
        )
        yield _problem("eviction", "note", what, f"{set_policy} {keep}")


def _speed(seen: RedisSeen, timeout_ms: float) -> Iterator[Problem]:
    latency = seen.latency_s or 0.0
    told = f"A reply takes {1000 * latency:.1f} ms in the median"
    if 1000 * latency >= timeout_ms:
        what = f"{told}, more than the cache waits for one ({timeout_ms:g} ms)"
        fix = "Move Redis next to the application, or raise redis_timeout_ms"
        yield _problem("too-slow", "error", what, fix)
    elif latency > _SLOW_S:
        fix = "Move Redis next to the application; look with redis-cli --latency"
        yield _problem("slow", "warning", f"{told}; beside it on a network it takes under 1", fix)


def _kept(seen: RedisSeen) -> Iterator[Problem]:
    if seen.always_syncs:
        what = (
            "Each write waits for the disk (appendfsync always), for a cache that is not worth it"
        )
        yield _problem("syncs", "warning", what, "redis-cli CONFIG SET appendfsync everysec")
    if seen.saves is False:
        what = "It keeps nothing on disk: after a restart of Redis the cache is empty"
        fix = "redis-cli CONFIG SET save '3600 1 300 100', if that matters"
        yield _problem("not-kept", "note", what, fix)
