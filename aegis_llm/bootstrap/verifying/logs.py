"""Reads Ollama's log: the configuration it starts with, and the children it starts. Pure."""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from typing import NamedTuple

from aegis_llm.bootstrap.verifying.evidence import Child, child_of

_CONFIG = re.compile(r'msg="server config" env="map\[((?:[^"\\]|\\.)*)\]"')
_STARTS = re.compile(r'msg="starting llama[- ]server" cmd="((?:[^"\\]|\\.)*)"')
_TIME = re.compile(r"\btime=(\S+)")
_NAME = re.compile(r"(?:^| )([A-Z][A-Z0-9_]{3,}|https?_proxy|no_proxy):")
_PROGRAM = re.compile(r"^(.*?(?:llama-server|ollama)(?:\.exe)?) ((?:runner )?--.*)$")


class Logged(NamedTuple):
    """What a log tells of the last start in it.

    `at` is in seconds since 1970; None where the line bears no time. `children` are those that
    were started since; they may have ended.
    """

    environment: dict[str, str]
    at: float | None
    children: tuple[Child, ...]


def read_log(text: str) -> Logged | None:
    """Return what the log tells; None: there is no line of a start in it."""
    starts = list(_CONFIG.finditer(text))
    if not starts:
        return None
    last = starts[-1]
    begin = text.rfind("\n", 0, last.start()) + 1
    children = []
    for start in _STARTS.finditer(text, last.end()):
        child = child_of(_words(_plain(start[1])), "the log")
        if child is not None:
            children.append(child)
    return Logged(_pairs(_plain(last[1])), _time(text[begin : last.start()]), tuple(children))


def _pairs(text: str) -> dict[str, str]:
    """Return the pairs of a Go map as it is printed: `NAME:value NAME:value`."""
    found = list(_NAME.finditer(text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    return {one[1]: text[one.end() : end] for one, end in zip(found, ends, strict=True)}


def _words(command: str) -> list[str]:
    """Return a command as words; its program may have blanks in its path."""
    split = _PROGRAM.match(command)
    program, rest = (split[1], split[2]) if split else ("", command)
    try:
        return [program, *shlex.split(rest)]
    except ValueError:
        return [program, *rest.split()]


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _time(line: str) -> float | None:
    found = _TIME.search(line)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(found[1]).timestamp()
    except (ValueError, OverflowError):
        return None
