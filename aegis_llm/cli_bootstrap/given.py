"""Where the facts of a command come from: this machine, a file, or a profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.probing import probe, read_facts, with_server
from aegis_llm.errors import ConfigError

_GIB = 2**30
_ALIKE = 0.1
"""The part by which the memory of one machine may differ: a limit, a new kernel."""


def facts_of(
    *,
    url: str | None = None,
    host_facts: Path | None = None,
    profile: str | None = None,
    root: Path = Path("/"),
    models: Sequence[str] = (),
) -> Facts:
    """Return the facts that a command shall use.

    Without a file and a profile this machine is looked at. With one of them the machine is theirs;
    a `url` then adds the version and the models of that server, and a `root` other than `/` how
    Ollama is installed in it.

    Args:
        url: The server; None: the one of this machine.
        host_facts: A fact file.
        profile: Name of a fact file that the package brings.
        root: Where the files of the machine are.
        models: Those to look at; empty: all.

    Raises:
        ConfigError: File, profile or root is not usable, or both of the first are given.
    """
    if not root.is_dir():
        msg = f"there is no folder {root}; --root is where the files of a machine are"
        raise ConfigError(msg)
    if host_facts is not None and profile is not None:
        msg = "give either a fact file or a profile, not both"
        raise ConfigError(msg)
    if host_facts is not None:
        return with_server(read_facts(host_facts), url, root, models)
    if profile is not None:
        from aegis_llm.bootstrap.advising import profile as profiled

        return with_server(profiled(profile), url, root, models)
    return probe(url, root=root, models=models)


def check_here(given: Facts, here: Facts) -> None:
    """Refuse to apply to this machine what was computed for another one.

    Raises:
        ConfigError: They have another system or another memory.
    """
    ours, theirs = here.memory.total, given.memory.total
    why = None
    if ours and theirs and abs(ours - theirs) > _ALIKE * max(ours, theirs):
        why = f"{theirs / _GIB:,.2f} GiB of memory, and this machine has {ours / _GIB:,.2f} GiB"
    elif given.os and here.os and given.os != here.os:
        why = f"the system {given.os}, and this one is {here.os}"
    if why is not None:
        msg = f"{given.source} tells of {why}; apply it on that machine"
        raise ConfigError(msg)
