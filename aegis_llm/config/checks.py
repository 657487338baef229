"""Checks of settings: each refuses what is not usable and says what to write instead. Pure."""

from __future__ import annotations

import re

from aegis_llm.errors import ConfigError


def require(ok: bool, what: str, instead: str) -> None:
    """Refuse a value unless `ok`; `what` names it and `instead` says what to write."""
    if not ok:
        msg = f"{what} is not usable; {instead}"
        raise ConfigError(msg)


def check_range(name: str, value: object, low: float, high: float, meaning: str) -> None:
    """Refuse what is no number from `low` to `high`."""
    ok = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    require(ok, f"{name}={value!r}", f"give {meaning}")


def check_whole(name: str, value: object, low: int, high: int, meaning: str) -> None:
    """Refuse what is no whole number from `low` to `high`."""
    require(isinstance(value, int), f"{name}={value!r}", f"give {meaning}")
    check_range(name, value, low, high, meaning)


def check_text(name: str, value: object) -> None:
    """Refuse what is neither None nor a text that is not empty."""
    ok = value is None or (isinstance(value, str) and bool(value))
    require(ok, f"{name}={value!r}", "give a text that is not empty")


def check_name(name: str, value: object) -> None:
    """Refuse what cannot be part of a key."""
    ok = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", value) is not None
    require(ok, f"{name} {value!r}", "use 1 to 64 letters, digits, '_', '-' or '.'")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False."""
    require(isinstance(value, bool), f"{name}={value!r}", "give True or False")
