"""What other files say about the same variables: who wins. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from aegis_llm.bootstrap.rendering import systemd


def conflicts(
    environment: Mapping[str, str],
    earlier: Iterable[tuple[str, str]],
    later: Iterable[tuple[str, str]],
    env_files: Iterable[tuple[str, str]] = (),
) -> tuple[list[str], list[str]]:
    """Return warnings, where another file wins, and notes, where ours does.

    Args:
        environment: What ours sets.
        earlier: Path and text of the unit and of the drop-ins before ours.
        later: Of those after it.
        env_files: Of what `EnvironmentFile=` reads; it wins over every `Environment=`.
    """
    warnings: list[str] = []
    notes: list[str] = []
    earlier, later = list(earlier), list(later)
    for path, text in earlier:
        for name, value in systemd.parse(text).items():
            if name in environment and value != environment[name]:
                notes.append(f"{name}={value} in {path} is overridden.")
    for path, text in later:
        warnings += _after(environment, path, text)
    for path, text in (*earlier, *later):
        warnings += [
            f"{name} is taken away by UnsetEnvironment= in {path}; remove it there."
            for key, value in systemd.service_lines(text)
            if key == "UnsetEnvironment"
            for name in (word.partition("=")[0] for word in systemd.words(value))
            if name in environment
        ]
    for path, text in env_files:
        warnings += [
            f"{name}={value} in {path} wins: an EnvironmentFile is stronger; change it there."
            for name, value in assigned(text).items()
            if name in environment and value != environment[name]
        ]
    return warnings, notes


def assigned(text: str) -> dict[str, str]:
    """Return what a file for `EnvironmentFile=` sets."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", "").splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith(("#", ";")):
            continue
        try:
            found[name.strip()] = " ".join(shlex.split(value))
        except ValueError:
            found[name.strip()] = value.strip()
    return found


def _after(environment: Mapping[str, str], path: str, text: str) -> list[str]:
    """Return what a drop-in that is read after ours does to our variables."""
    resets = any(key == "Environment" and not value for key, value in systemd.service_lines(text))
    told = systemd.parse(text)
    if resets:
        lost = [name for name in environment if name not in told]
        empties = f"{path} comes later and empties the environment (Environment=)"
        return [f"{empties}: {', '.join(lost)} will not be set; remove that line."] if lost else []
    return [
        f"{name}={value} in {path} wins: its name comes later; change or remove it there."
        for name, value in told.items()
        if name in environment and value != environment[name]
    ]
