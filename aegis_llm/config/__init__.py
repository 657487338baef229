"""Settings: frozen, checked at construction, read from the environment only by `from_env()`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Self

from aegis_llm.config.cache import CacheConfig, Extractor, Matching, Router
from aegis_llm.config.scheduler import SchedulerConfig
from aegis_llm.config.urls import DEFAULT_REDIS_URL, SCHEMES, safe_url
from aegis_llm.errors import ConfigError
from aegis_llm.values import Body, Route


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


def refuse_unknown(given: Iterable[Any], known: frozenset[str]) -> None:
    """Refuse arguments that a model does not take; those of a section have their place there.

    Raises:
        ConfigError: An argument is not known.
    """
    for name in given:
        if name in known:
            continue
        if name in OPTION_NAMES:
            msg = f"{name!r} belongs into aegis=AegisConfig().with_options({name}=...)"
            raise ConfigError(msg)
        raise unknown_option(str(name), known)


def _section_of(name: str) -> str:
    for section, names in _SECTIONS.items():
        if name in names:
            return section
    raise unknown_option(name)


__all__ = [
    "DEFAULT_REDIS_URL",
    "OPTION_NAMES",
    "SCHEMES",
    "AegisConfig",
    "Body",
    "CacheConfig",
    "Extractor",
    "Matching",
    "Route",
    "Router",
    "SchedulerConfig",
    "refuse_unknown",
    "safe_url",
    "unknown_option",
]
