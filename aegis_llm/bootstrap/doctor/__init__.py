"""Looks at everything that the cache and the scheduler rest on, and says what to fix first."""

from __future__ import annotations

from pathlib import Path

from aegis_llm.bootstrap.doctor.of_ollama import about_server, about_settings
from aegis_llm.bootstrap.doctor.of_redis import about_redis
from aegis_llm.bootstrap.doctor.problem import Area, Checkup, Problem, RedisSeen, ordered
from aegis_llm.bootstrap.doctor.redis_asking import ask
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.linting import lint
from aegis_llm.bootstrap.probing import probe, strays
from aegis_llm.bootstrap.probing.files import Tree
from aegis_llm.bootstrap.verifying import Tell, verify
from aegis_llm.bootstrap.verifying.gathering import files_of
from aegis_llm.config import AegisConfig, CacheConfig

__all__ = ["Area", "Checkup", "Problem", "RedisSeen", "configured", "examine"]

_NO_SERVER = ("memory://", "embedded://")


def examine(
    facts: Facts | None = None,
    *,
    url: str | None = None,
    redis_url: str | None = None,
    namespace: str | None = None,
    root: Path = Path("/"),
    log: Path | None = None,
    deep: bool = False,
    redis: bool = True,
    tell: Tell | None = None,
) -> Checkup:
    """Return what is wrong with Ollama, its settings and Redis, what to fix first in front.

    An Ollama or a Redis that is down is a problem that is told, not an error.

    Args:
        facts: Of the machine; None: they are probed.
        url: The Ollama; None: the one of this machine.
        redis_url: The Redis; None: that of the environment (`AEGIS_REDIS_URL`), else localhost.
        namespace: Whose index is looked for; None: that of the environment.
        root: Where the files of the machine are.
        log: The log of Ollama; None: it is looked for.
        deep: Whether requests are sent, as `verifying.announced` tells.
        redis: Whether Redis is looked at.
        tell: Called with each thing that `deep` has found.

    Raises:
        ConfigError: An address, the environment or the log is not usable.
    """
    facts = probe(url, root=root) if facts is None else facts
    given = {"redis_url": redis_url, "namespace": namespace}
    config = AegisConfig.from_env()
    config = config.with_options(**{name: value for name, value in given.items() if value})
    wanted = configured(facts, root)
    verification = verify(facts, wanted, url=url, root=root, log=log, deep=deep, tell=tell)
    findings = lint(wanted, facts.ollama.version, facts=facts) if wanted else ()
    problems = [
        *about_server(facts, answers=verification.answers),
        *about_settings(findings, verification if verification.answers else None),
    ]
    seen = _seen(config.cache) if redis else None
    if seen is not None:
        problems += about_redis(seen, config.cache.redis_timeout_ms)
    return Checkup(problems=ordered(problems), facts=facts, verification=verification, redis=seen)


def configured(facts: Facts, root: Path = Path("/")) -> dict[str, str]:
    """Return what somebody meant to set: in the service's files, its process, or a shell.

    The files of the service are the strongest: what they say is what shall be. What only a shell
    sets is taken for meant where Ollama is a service, which does not read it.
    """
    wanted: dict[str, str] = {}
    if facts.ollama.installed not in ("manual", None):
        for environment in strays(root).values():
            wanted |= environment
    wanted |= facts.ollama.environment or {}
    for file in files_of(Tree(root), facts.ollama.files):
        wanted |= file.environment
    return dict(sorted(wanted.items()))


def _seen(cache: CacheConfig) -> RedisSeen | None:
    """Return what the Redis shows; None: the answers are in a server that is not one yet."""
    if cache.redis_url.startswith(_NO_SERVER):
        return None
    return ask(cache.redis_url, cache.namespace)
