"""What the server has to do, from the options of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from aegis_llm.bootstrap.advice import Goal, Workload
from aegis_llm.bootstrap.advising import workload_of_trace
from aegis_llm.bootstrap.learned import learned_workload
from aegis_llm.errors import ConfigError


def names_of(models: str) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name for part in models.split(",") if (name := part.strip()))


def workload_from(
    *,
    goal: Goal,
    trace: Path | None = None,
    learn: str | None = None,
    namespace: str | None = None,
    **given: Any,
) -> Workload:
    """Return the workload: learned from a trace or a cache, and what is given over that.

    Args:
        goal: As in `Workload`.
        trace: A file of requests.
        learn: The URL of a Redis with answers of this package.
        namespace: Whose answers.
        given: Fields of `Workload`; None: not given.

    Raises:
        ConfigError: File or URL is not usable, or both are given.
        AegisError: The Redis does not answer or has no answers.
    """
    if trace is not None and learn is not None:
        msg = "give either --trace or --learn, not both"
        raise ConfigError(msg)
    if namespace is not None and learn is None:
        msg = "--namespace says whose answers --learn reads; give --learn too"
        raise ConfigError(msg)
    given = {name: value for name, value in given.items() if value is not None}
    if trace is not None:
        known = workload_of_trace(trace)
    elif learn is not None:
        known = learned_workload(learn, namespace)
    else:
        return Workload(goal=goal, **given)
    source = f"{known.source}; {', '.join(sorted(given))} given" if given else known.source
    return msgspec.structs.replace(known, goal=goal, source=source, **given)
