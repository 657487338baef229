"""URLs of Redis and Ollama: what they may look like, and how they are shown without secrets."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qs, urlsplit

from aegis_llm.config.checks import require

DEFAULT_REDIS_URL = "redis://localhost:6379"
SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "embedded", "memory",
)  # fmt: skip

UNREADABLE = "<unreadable url>"
_MANY_HOSTS = ("redis+sentinel", "redis+cluster")


def safe_url(url: str) -> str:
    """Return the URL without user, password and query, fit for logs and errors.

    Where it cannot be told for sure what is the password, nothing is shown.
    """
    try:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment:
            return UNREADABLE  # a "/", "?" or "#" in the password
        hosts = ",".join(_shown(host) for host in _hosts(parts))
    except ValueError:
        return UNREADABLE
    return f"{parts.scheme}://{hosts}{parts.path}"


def _hosts(parts: SplitResult) -> list[SplitResult]:
    """Return the hosts that a URL names; the URLs of Sentinel and Cluster may name several."""
    hosts = parts.netloc.rpartition("@")[2]
    many = hosts.split(",") if parts.scheme in _MANY_HOSTS else [hosts]
    return [urlsplit(f"//{host}") for host in many if host]


def _shown(host: SplitResult) -> str:
    name = host.hostname or ""
    port = "" if host.port is None else f":{host.port}"
    return f"[{name}]{port}" if ":" in name else f"{name}{port}"


def check_url(url: object) -> None:
    """Refuse a `redis_url` that names no server; the message shows no password."""
    known = ", ".join(f"{s}://" for s in SCHEMES)
    require(isinstance(url, str), "redis_url", f"give a text that starts with one of {known}")
    shown = f"redis_url {safe_url(str(url))!r}"
    scheme = str(url).partition("://")[0] if "://" in str(url) else ""
    require(scheme in SCHEMES, shown, f"start it with {known}")
    quoting = "quote what is special in the password ('@' is %40, '/' is %2F)"
    require(UNREADABLE not in shown, shown, f"write {scheme}://:PASSWORD@HOST:PORT; {quoting}")
    parts = urlsplit(str(url))
    require(parts.path != "" or scheme != "unix", shown, "write unix:///path/to/redis.sock")
    named = any(host.hostname for host in _hosts(parts))
    require(named or scheme not in _MANY_HOSTS, shown, f"write {scheme}://HOST:PORT")
    numbers = parse_qs(parts.query).get("db", ["0"])
    require(all(n.isdecimal() for n in numbers), shown, "the database is a number, ?db=0")
