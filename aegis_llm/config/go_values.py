"""What Ollama makes of the text of an environment variable: the rules of Go's parsers. Pure."""

from __future__ import annotations

import re

FOREVER = float("inf")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_LONGEST_S = (2**63 - 1) / 1e9
_LARGEST = 2**64 - 1


def bare(text: str) -> str:
    """Return a value without the blanks and then the quotes around it, as Ollama strips them."""
    return text.strip().strip("\"'")


def go_bool(text: str) -> bool | None:
    """Return what `strconv.ParseBool` reads; None: it cannot be read."""
    if text in _TRUE:
        return True
    return False if text in _FALSE else None


def go_uint(text: str) -> int | None:
    """Return what `strconv.ParseUint` reads; None: it cannot be read."""
    if not re.fullmatch("[0-9]+", text) or int(text) > _LARGEST:
        return None
    return int(text)


def go_duration(text: str) -> float:
    """Return the seconds that `time.ParseDuration` reads.

    Raises:
        ValueError: It cannot be read; the message is Go's.
    """
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0.0
    if not body:
        msg = f'time: invalid duration "{text}"'
        raise ValueError(msg)
    total, place = 0.0, 0
    while place < len(body):
        part = _PART.match(body, place)
        if part is None:
            msg = f'time: invalid duration "{text}"'
            raise ValueError(msg)
        number, unit = part.groups()
        if not unit:
            msg = f'time: missing unit in duration "{text}"'
            raise ValueError(msg)
        if unit not in _UNITS:
            msg = f'time: unknown unit "{unit}" in duration "{text}"'
            raise ValueError(msg)
        total += float(number) * _UNITS[unit]
        place = part.end()
    if total > _LONGEST_S:
        msg = f'time: invalid duration "{text}"'
        raise ValueError(msg)
    return -total if text[0] == "-" else total


def seconds(text: str) -> float | None:
    """Return the seconds of a variable: a duration, or a whole number of them; None: neither."""
    try:
        return go_duration(text)
    except ValueError:
        return float(int(text)) if re.fullmatch("[+-]?[0-9]{1,18}", text) else None


def keep_alive(text: str) -> float:
    """Return the seconds of `OLLAMA_KEEP_ALIVE`: 5 minutes for what cannot be read."""
    found = seconds(bare(text))
    if found is None:
        return 300.0
    return FOREVER if found < 0 or found >= _LONGEST_S else found


def shown(duration: float) -> str:
    """Return seconds as Go prints a duration (`5m0s`); infinity as Go's longest, Ollama's word."""
    if duration >= _LONGEST_S:
        return "2562047h47m16.854775807s"
    if duration < 1:
        return f"{duration * 1000:.10g}ms" if duration else "0s"
    whole, rest = divmod(duration, 60)
    hours, minutes = divmod(int(whole), 60)
    shown_s = f"{rest:.10g}s"
    if hours:
        return f"{hours}h{minutes}m{shown_s}"
    return f"{minutes}m{shown_s}" if minutes else shown_s
