"""Settings: frozen, checked at construction, read from the environment only by `from_env()`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Self
from urllib.parse import urlsplit

from aegis_llm.errors import ConfigError
from aegis_llm.values import Body

DEFAULT_REDIS_URL = "redis://localhost:6379"
SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "embedded", "memory",
)  # fmt: skip

Extractor = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Names the question inside a list of messages (Ollama's shape); None: exact tier only."""


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Settings of the cache.

    Attributes:
        redis_url: `redis://`, `rediss://`, `unix://`, `embedded://` or `memory://`. A secret:
            it is never shown with its password.
        namespace: Separates applications on one Redis (letters, digits, `_`, `-`, `.`).
        ttl: Seconds an entry lives, counted from its storing (not sliding).
        ttl_jitter: Share of `ttl` (0 to 0.5) taken off at random, against expiry in step.
        similarity: Least cosine similarity of a semantic hit, 0 to 1.
        neighbours: How many nearest entries of the scope are looked at.
        max_question_tokens: Window of the embedder; a longer question stays in the exact tier.
        store_prompts: False keeps the questions out of Redis (semantic hits then compare
            similarity, numbers and names only inside the local process, so they are refused).
        redis_timeout_ms: Longest wait for one Redis reply; after it nothing more is asked of Redis
            in the same request. Long enough for a machine whose processors are all busy.
        redis_connect_timeout_ms: Longest wait for a connection.
        embed_timeout_ms: Longest wait for the embedding of a question.
        local_max_bytes: Size of the in-process copy; 0 turns it off.
        local_max_age_s: Longest age of an in-process copy, which is also how long a deleted
            entry can still be served by another process.
        extractor: Finds the question in messages that the built-in patterns do not know.
        embedding_id: Name of the embedder in the index, when the derived one is not wanted.
    """

    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    namespace: str = "default"
    ttl: float = 3600.0
    ttl_jitter: float = 0.0
    similarity: float = 0.92
    neighbours: int = 4
    max_question_tokens: int = 256
    store_prompts: bool = True
    redis_timeout_ms: float = 35.0
    redis_connect_timeout_ms: float = 20.0
    embed_timeout_ms: float = 500.0
    local_max_bytes: int = 16 * 1024 * 1024
    local_max_age_s: float = 30.0
    extractor: Extractor | None = None
    embedding_id: str | None = None

    def __post_init__(self) -> None:
        _check_url(self.redis_url)
        _require(
            bool(re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", self.namespace)),
            f"namespace {self.namespace!r}",
            "use 1 to 64 letters, digits, '_', '-' or '.'",
        )
        _check_range("ttl", self.ttl, 0.001, 10 * 365 * 86400, "seconds, more than 0")
        _check_range("ttl_jitter", self.ttl_jitter, 0, 0.5, "a share from 0 to 0.5")
        _check_range("similarity", self.similarity, 0, 1, "a cosine similarity from 0 to 1")
        _check_range("neighbours", self.neighbours, 1, 64, "a whole number from 1 to 64")
        _check_range("max_question_tokens", self.max_question_tokens, 1, 1 << 20, "tokens")
        for name in ("redis_timeout_ms", "redis_connect_timeout_ms", "embed_timeout_ms"):
            _check_range(name, getattr(self, name), 0.1, 600_000, "milliseconds, more than 0")
        _check_range("local_max_bytes", self.local_max_bytes, 0, 1 << 50, "bytes, 0 turns it off")
        _check_range("local_max_age_s", self.local_max_age_s, 0, 86400, "seconds")


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """Settings of the scheduler.

    Attributes:
        single_flight: Identical requests at the same time make one model call.
    """

    single_flight: bool = True


@dataclass(frozen=True, kw_only=True)
class AegisConfig:
    """All settings of one aegis-llm instance."""

    cache: CacheConfig = field(default_factory=CacheConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read `AEGIS_REDIS_URL`, `AEGIS_NAMESPACE`, `AEGIS_TTL` and `AEGIS_SIMILARITY`.

        Raises:
            ConfigError: A variable holds no usable value; the message names the variable.
        """
        env = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        for name, option, convert in (
            ("AEGIS_REDIS_URL", "redis_url", str),
            ("AEGIS_NAMESPACE", "namespace", str),
            ("AEGIS_TTL", "ttl", float),
            ("AEGIS_SIMILARITY", "similarity", float),
        ):
            text = env.get(name, "").strip()
            if not text:
                continue
            try:
                given[option] = convert(text)
            except ValueError:
                msg = f"{name}={text!r} is not a number; write for example {name}=0.92"
                raise ConfigError(msg) from None
        return cls(cache=CacheConfig(**given))

    def with_options(self, **options: Any) -> Self:
        """Return a copy with options of any section changed, found by their names.

        Raises:
            ConfigError: No section has that option; the message suggests the nearest name.
        """
        sections: dict[str, dict[str, Any]] = {"cache": {}, "scheduler": {}}
        for name, value in options.items():
            sections[_section_of(name)][name] = value
        changed = {s: replace(getattr(self, s), **given) for s, given in sections.items() if given}
        return replace(self, **changed)


_SECTIONS = {
    "cache": frozenset(f.name for f in fields(CacheConfig)),
    "scheduler": frozenset(f.name for f in fields(SchedulerConfig)),
}
OPTION_NAMES = frozenset().union(*_SECTIONS.values())


def unknown_option(name: str, known: frozenset[str] = OPTION_NAMES) -> ConfigError:
    """Return the error for an option that does not exist, with the nearest name that does."""
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return ConfigError(f"unknown option {name!r}; {hint}")


def safe_url(url: str) -> str:
    """Return the URL without user, password and query, fit for logs and errors."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "<unreadable url>"
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _section_of(name: str) -> str:
    for section, names in _SECTIONS.items():
        if name in names:
            return section
    raise unknown_option(name)


def _require(ok: bool, what: str, instead: str) -> None:
    if not ok:
        msg = f"{what} is not usable; {instead}"
        raise ConfigError(msg)


def _check_range(name: str, value: object, low: float, high: float, meaning: str) -> None:
    ok = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    _require(ok, f"{name}={value!r}", f"give {meaning}")


def _check_url(url: object) -> None:
    known = ", ".join(f"{s}://" for s in SCHEMES)
    _require(isinstance(url, str), "redis_url", f"give a text that starts with one of {known}")
    scheme = str(url).partition("://")[0] if "://" in str(url) else ""
    _require(scheme in SCHEMES, f"redis_url {safe_url(str(url))!r}", f"start it with {known}")


__all__ = [
    "DEFAULT_REDIS_URL",
    "OPTION_NAMES",
    "AegisConfig",
    "Body",
    "CacheConfig",
    "Extractor",
    "SchedulerConfig",
    "safe_url",
    "unknown_option",
]
