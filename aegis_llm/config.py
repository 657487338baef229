"""Settings: frozen, checked at construction, read from the environment only by `from_env()`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, Self, get_args
from urllib.parse import SplitResult, parse_qs, urlsplit

from aegis_llm.errors import ConfigError
from aegis_llm.values import Body, Route

DEFAULT_REDIS_URL = "redis://localhost:6379"
SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "redis+cluster", "embedded", "memory",
)  # fmt: skip

UNREADABLE = "<unreadable url>"
_MANY_HOSTS = ("redis+sentinel", "redis+cluster")

Matching = Literal["strict", "balanced"]
History = Literal["standalone", "same"]
Judging = Literal["off", "background", "serve"]
_CHOICES: dict[str, tuple[str, ...]] = {
    "matching": get_args(Matching),
    "history": get_args(History),
    "judge": get_args(Judging),
}
_OVERLAP = re.compile(r"overlap>=(\d+(?:\.\d+)?)")

Extractor = Callable[[Sequence[Mapping[str, Any]]], str | None]
"""Names the question inside a list of messages (Ollama's shape); None: exact tier only."""

Router = Callable[[str], Route | None]
"""Says how far the answer to a question may be reused; None: the built-in router decides."""


@dataclass(frozen=True, kw_only=True)
class CacheConfig:
    """Settings of the cache.

    Attributes:
        redis_url: `redis://`, `rediss://`, `unix://`, `embedded://` or `memory://`. A secret:
            it is never shown with its password.
        namespace: Separates applications on one Redis (letters, digits, `_`, `-`, `.`).
        ttl: Seconds an entry lives, counted from its storing (not sliding).
        ttl_jitter: Share of `ttl` (0 to 0.5) taken off at random, against expiry in step.
        matching: "strict" or "balanced": how sure a semantic hit has to be (see docs/matching.md).
        max_wrong_hits: Largest share of semantic hits that may be wrong, on the calibration mix;
            picks the threshold of the score in place of `matching`.
        similarity: A fixed cosine similarity (0 to 1) that a semantic hit must reach; the gates
            decide after it, and no score is made. None: the score decides.
        calibration: File that `aegis-llm calibrate` wrote for another embedder.
        context: Which entries may answer a reworded question: "same" (made from the same set of
            chunks, in any order), "overlap>=0.5" (at least that share of chunks in common) or
            "ignore" (needs a `corpus_version`).
        history: "standalone" (a last turn that stands alone may be answered across
            conversations) or "same" (the turns before it must be the same).
        router: What keeps questions about now, about the asker, and the like from being answered
            by meaning (see `aegis_llm.matching.route`). False: nothing does, and nothing is
            skipped. Or a function of the question that returns a `Route`, or None to leave it to
            the built-in one.
        corpus_version: Names the state of the documents; another one shares no entry.
        judge: Who decides in the grey zone of the score: "background" (the model, in idle time,
            for the next request), "serve" (the model, before serving) or "off".
        judge_model: The model that judges; None: the model of the request.
        shadow: Serve nothing by meaning, only record what would have been served.
        check_hits: Share of semantic hits (0 to 1) for which the model is asked too, in idle time.
        neighbours: How many nearest entries of the scope are looked at.
        max_question_tokens: Window of the embedder; a longer question stays in the exact tier.
        store_prompts: False keeps the questions out of Redis, and turns the semantic tier off: the
            gates could not compare what is not there.
        redis_timeout_ms: Longest wait for one Redis reply; after it nothing more is asked of Redis
            in the same request. Long enough for a machine whose processors are all busy.
        redis_connect_timeout_ms: Longest wait for a connection.
        embed_timeout_ms: Longest wait for the embedding of a question.
        local_max_bytes: Size of the in-process copy; 0 turns it off.
        local_max_age_s: Longest age of an in-process copy, which is also how long an entry that
            was deleted, or invalidated where this process cannot hear of it, can still be served.
        extractor: Finds the question in messages that the built-in patterns do not know.
        embedding_id: Name of the embedder in the index, when the derived one is not wanted.
    """

    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    namespace: str = "default"
    ttl: float = 3600.0
    ttl_jitter: float = 0.0
    matching: Matching = "strict"
    max_wrong_hits: float | None = None
    similarity: float | None = None
    calibration: str | None = None
    context: str = "same"
    history: History = "standalone"
    router: bool | Router = True
    corpus_version: str | None = None
    judge: Judging = "background"
    judge_model: str | None = None
    shadow: bool = False
    check_hits: float = 0.0
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
        _check_name("namespace", self.namespace)
        _check_range("ttl", self.ttl, 0.001, 10 * 365 * 86400, "seconds, more than 0")
        _check_range("ttl_jitter", self.ttl_jitter, 0, 0.5, "a share from 0 to 0.5")
        self._check_matching()
        _check_whole("neighbours", self.neighbours, 1, 64, "a whole number from 1 to 64")
        tokens = "a whole number of tokens, 1 or more"
        _check_whole("max_question_tokens", self.max_question_tokens, 1, 1 << 20, tokens)
        _check_flag("store_prompts", self.store_prompts)
        for name in ("redis_timeout_ms", "redis_connect_timeout_ms", "embed_timeout_ms"):
            _check_range(name, getattr(self, name), 0.1, 600_000, "milliseconds, more than 0")
        _check_whole("local_max_bytes", self.local_max_bytes, 0, 1 << 50, "bytes, 0 turns it off")
        _check_range("local_max_age_s", self.local_max_age_s, 0, 86400, "seconds")
        _require(
            self.extractor is None or callable(self.extractor),
            f"extractor={self.extractor!r}",
            "give a function of the messages that returns the question",
        )
        _check_text("embedding_id", self.embedding_id)

    @property
    def least_overlap(self) -> float | None:
        """The share of chunks in common that `context` asks for, if it asks for one."""
        overlap = _OVERLAP.fullmatch(self.context)
        return float(overlap[1]) if overlap else None

    def _check_matching(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            _require(value in known, f"{name}={value!r}", f"give one of {', '.join(known)}")
        if self.similarity is not None:
            _check_range("similarity", self.similarity, 0, 1, "a cosine similarity from 0 to 1")
        if self.max_wrong_hits is not None:
            share = "a share of the hits, from 0.001 to 0.5"
            _check_range("max_wrong_hits", self.max_wrong_hits, 0.001, 0.5, share)
        _require(
            isinstance(self.router, bool) or callable(self.router),
            f"router={self.router!r}",
            "give True, False or a function of the question that returns a Route or None",
        )
        for name in ("calibration", "corpus_version", "judge_model"):
            _check_text(name, getattr(self, name))
        _check_flag("shadow", self.shadow)
        _check_range("check_hits", self.check_hits, 0, 1, "a share of the hits, from 0 to 1")
        overlap = _OVERLAP.fullmatch(str(self.context))
        _require(
            self.context in ("same", "ignore") or (overlap and 0 < float(overlap[1]) <= 1) is True,
            f"context={self.context!r}",
            'give "same", "overlap>=0.5" (a share, more than 0 and at most 1) or "ignore"',
        )
        _require(
            self.context != "ignore" or self.corpus_version is not None,
            'context="ignore" without a corpus_version',
            "an answer would outlive the documents that it was made from; give "
            'corpus_version="1" as well, and another one when they change',
        )


@dataclass(frozen=True, kw_only=True)
class SchedulerConfig:
    """Settings of the scheduler.

    Attributes:
        single_flight: Identical requests at the same time make one model call.
    """

    single_flight: bool = True

    def __post_init__(self) -> None:
        _check_flag("single_flight", self.single_flight)


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
        cache = CacheConfig()
        for name, option, example in (
            ("AEGIS_REDIS_URL", "redis_url", ""),
            ("AEGIS_NAMESPACE", "namespace", ""),
            ("AEGIS_TTL", "ttl", "3600"),
            ("AEGIS_SIMILARITY", "similarity", "0.92"),
        ):
            text = env.get(name, "").strip()
            if not text:
                continue
            try:
                given: dict[str, Any] = {option: float(text) if example else text}
                cache = replace(cache, **given)
            except ConfigError as exc:
                msg = f"{name}: {exc}"
                raise ConfigError(msg) from None
            except ValueError:
                msg = f"{name}={text!r} is not a number; write for example {name}={example}"
                raise ConfigError(msg) from None
        return cls(cache=cache)

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


def _check_whole(name: str, value: object, low: int, high: int, meaning: str) -> None:
    _require(isinstance(value, int), f"{name}={value!r}", f"give {meaning}")
    _check_range(name, value, low, high, meaning)


def _check_text(name: str, value: object) -> None:
    ok = value is None or (isinstance(value, str) and bool(value))
    _require(ok, f"{name}={value!r}", "give a text that is not empty")


def _check_name(name: str, value: object) -> None:
    ok = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value) is not None
    _require(ok, f"{name} {value!r}", "use 1 to 64 letters, digits, '_', '-' or '.'")


def _check_flag(name: str, value: object) -> None:
    _require(isinstance(value, bool), f"{name}={value!r}", "give True or False")


def _check_url(url: object) -> None:
    known = ", ".join(f"{s}://" for s in SCHEMES)
    _require(isinstance(url, str), "redis_url", f"give a text that starts with one of {known}")
    shown = f"redis_url {safe_url(str(url))!r}"
    scheme = str(url).partition("://")[0] if "://" in str(url) else ""
    _require(scheme in SCHEMES, shown, f"start it with {known}")
    quoting = "quote what is special in the password ('@' is %40, '/' is %2F)"
    _require(UNREADABLE not in shown, shown, f"write {scheme}://:PASSWORD@HOST:PORT; {quoting}")
    parts = urlsplit(str(url))
    _require(parts.path != "" or scheme != "unix", shown, "write unix:///path/to/redis.sock")
    named = any(host.hostname for host in _hosts(parts))
    _require(named or scheme not in _MANY_HOSTS, shown, f"write {scheme}://HOST:PORT")
    numbers = parse_qs(parts.query).get("db", ["0"])
    _require(all(n.isdecimal() for n in numbers), shown, "the database is a number, ?db=0")


__all__ = [
    "DEFAULT_REDIS_URL",
    "OPTION_NAMES",
    "AegisConfig",
    "Body",
    "CacheConfig",
    "Extractor",
    "Route",
    "Router",
    "SchedulerConfig",
    "safe_url",
    "unknown_option",
]
