"""A drop-in of a systemd unit: `Environment=` in `[Service]`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_llm.bootstrap.rendering.page import Page

FILE_NAME = "90-aegis-llm.conf"
"""An own name: upgrades rewrite the unit, and nobody else writes a file of this name."""
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", '"': '"', "'": "'", "s": " ",
}  # fmt: skip
_CODED = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})")


def render(page: Page) -> str:
    """Return the text of the drop-in."""
    lines = [*page.header(managed=True), "[Service]"]
    for name, value in page.environment.items():
        lines += page.comment(name)
        lines.append(f'Environment="{name}={_escaped(value)}"')
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, str]:
    """Return what the `Environment=` lines of a unit or drop-in set, as systemd reads them."""
    environment: dict[str, str] = {}
    for key, value in service_lines(text):
        if key == "Environment":
            if not value:
                environment.clear()
            for word in words(value):
                name, found, content = word.partition("=")
                if found:
                    environment[name] = content.replace("%%", "%")
    return environment


def service_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of each line of `[Service]`, continued lines joined."""
    section = ""
    for line in _logical_lines(text):
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line:
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def words(text: str) -> list[str]:
    """Return the words of a value, quotes and escapes taken away; at a bad escape it ends."""
    found: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\\":
            plain, length = _unescaped(text[at:])
            if not length:
                return found
            word = (word or "") + plain
            at += length
        elif quote:
            if character == quote:
                quote = ""
            else:
                word = (word or "") + character
        elif character in "\"'":
            quote, word = character, word or ""
        elif character.isspace():
            if word is not None:
                found.append(word)
            word = None
        else:
            word = (word or "") + character
    if word is not None and not quote:
        found.append(word)
    return found


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _unescaped(rest: str) -> tuple[str, int]:
    """Return the character after a backslash, and how long it is written; 0: it is wrong."""
    coded = _CODED.match(rest)
    if coded:
        digits = next(group for group in coded.groups() if group)
        code = int(digits, 8 if coded.group(4) else 16)
        return (chr(code), coded.end()) if 0 < code < 0x110000 else ("", 0)
    plain = _ESCAPES.get(rest[:1])
    return (plain, 1) if plain is not None else ("", 0)


def _logical_lines(text: str) -> Iterator[str]:
    joined = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith(("#", ";")):
            continue
        if stripped.endswith("\\"):
            joined += stripped[:-1] + " "
            continue
        whole = (joined + stripped).strip()
        joined = ""
        if whole:
            yield whole
    if joined.strip():
        yield joined.strip()
