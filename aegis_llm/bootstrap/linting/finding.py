"""What is said about one setting. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from aegis_llm.bootstrap.probing.environment import safe_value

Level = Literal["error", "warning", "note"]
ORDER: tuple[Level, ...] = ("error", "warning", "note")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about a setting that is not as its author may think.

    Attributes:
        rule: A short name that stays the same.
        variable: The environment variable, as it is written.
        value: Its value; `***` where it may be a secret.
        level: `error`: it does something else than it says, or harms; `warning`: it does nothing,
            or costs; `note`: to be known.
        what: What is so, one sentence.
        do: What to do about it.
    """

    rule: str
    variable: str
    value: str
    level: Level
    what: str
    do: str


def shown(name: str, value: str) -> str:
    """Return a value as it may be shown."""
    if value and any(mark in name.upper() for mark in _SECRET):
        return "***"
    return safe_value(value)


def found(rule: str, name: str, value: str, level: Level, what: str, do: str) -> Finding:
    """Return a finding; a value that may be a secret is hidden."""
    return Finding(
        rule=rule, variable=name, value=shown(name, value), level=level, what=what, do=do
    )
