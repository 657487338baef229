"""A batch file for Windows: `setx` for the user who runs Ollama. Pure."""

from __future__ import annotations

import re

from aegis_llm.bootstrap.rendering.page import Page
from aegis_llm.errors import ConfigError

_LONGEST = 1024
_SPECIAL = re.compile(r'([()!^"<>&|])')
_LINE = re.compile(r"\s*setx\s+(\w+)\s+(.*)", re.IGNORECASE)


def render(page: Page) -> str:
    """Return a batch file.

    Raises:
        ConfigError: A value is longer than `setx` keeps.
    """
    lines = ["@echo off", *page.header("rem ")]
    texts = [*page.environment.values(), *page.comments()]
    if not all(text.isascii() for text in texts):
        lines.append("chcp 65001 >nul")
    for name, value in page.environment.items():
        if len(value) > _LONGEST:
            msg = (
                f"the value of {name} has {len(value)} characters and setx cuts at {_LONGEST};"
                " set it under Settings > Edit environment variables for your account"
            )
            raise ConfigError(msg)
        lines += [line.replace("%", "%%") for line in page.comment(name, "rem ")]
        lines.append(f"setx {name} {_quoted(value)}")
    lines.append("rem Now quit Ollama in the notification area and start it again.")
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, str]:
    """Return what the `setx` lines of a batch file set."""
    environment: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found:
            environment[found[1]] = _argument(_expanded(found[2].strip()))
    return environment


def _quoted(value: str) -> str:
    """Return a value for setx's own reading of quotes, kept from the command line's.

    cmd knows no escaped quote: one inside a value ends its quoting. Then every character that
    means something to it is escaped, the outer quotes too.
    """
    argument = '"' + re.sub(r'(\\*)("|$)', _doubled, value) + '"'
    if '"' in value:
        argument = _SPECIAL.sub(r"^\1", argument)
    return argument.replace("%", "%%")


def _doubled(found: re.Match[str]) -> str:
    backslashes, quote = found.groups()
    return backslashes * 2 + ("\\" + quote if quote else "")


def _expanded(text: str) -> str:
    """Return what cmd hands over: doubled % made one, carets outside quotes taken away."""
    text = text.replace("%%", "%")
    made, quoted, at = "", False, 0
    while at < len(text):
        character = text[at]
        if character == "^" and not quoted:
            at += 1
            made += text[at : at + 1]
        else:
            quoted ^= character == '"'
            made += character
        at += 1
    return made


def _argument(text: str) -> str:
    """Return the first argument as a Windows program reads it."""
    made, quoted, at = "", False, 0
    while at < len(text):
        run = len(text) - at - len(text[at:].lstrip("\\"))
        after = text[at + run : at + run + 1]
        if run:
            made += "\\" * (run // 2 if after == '"' else run)
            at += run
            if after == '"' and run % 2:
                made += '"'
                at += 1
        elif after == '"':
            quoted = not quoted
            at += 1
        elif after.isspace() and not quoted:
            break
        else:
            made += after
            at += 1
    return made
