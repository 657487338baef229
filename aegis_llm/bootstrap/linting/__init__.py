"""Says what is wrong with Ollama's settings before anybody waits for their effect. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.linting.finding import ORDER, Finding, Level
from aegis_llm.bootstrap.linting.names import about_name
from aegis_llm.bootstrap.linting.reading import environment_of
from aegis_llm.bootstrap.linting.together import default_context, together
from aegis_llm.bootstrap.linting.values import about_value
from aegis_llm.bootstrap.variables import release

__all__ = ["Finding", "Level", "default_context", "environment_of", "lint"]


def lint(
    environment: Mapping[str, str], version: str | None, *, facts: Facts | None = None
) -> tuple[Finding, ...]:
    """Return what is wrong with an environment, the worst first.

    Variables that are empty count as unset, as they do for Ollama.

    Args:
        environment: Of the server; names that are none of Ollama's are passed over.
        version: Of Ollama; None: not known, then what holds for the newest is said.
        facts: Of the machine and its models, for what the settings cost there.
    """
    numbers = release(version)
    given = {name: value for name, value in environment.items() if value.strip(" \t\"'")}
    findings: list[Finding] = []
    for name, value in sorted(given.items()):
        about = list(about_name(name, value, numbers))
        findings += about
        if not about:
            findings += about_value(name, value, numbers)
    findings += together(given, numbers, facts)
    return tuple(sorted(findings, key=lambda one: ORDER.index(one.level)))
