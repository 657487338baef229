"""A LaunchAgent that sets the variables at each login on macOS. Pure."""

from __future__ import annotations

import plistlib
import shlex
from xml.parsers.expat import ExpatError

from aegis_llm.bootstrap.rendering.page import Page
from aegis_llm.errors import ConfigError

LABEL = "aegis-llm.ollama-environment"
FILE_NAME = f"{LABEL}.plist"


def render(page: Page) -> str:
    """Return the property list; `launchctl setenv` reaches what is started after it."""
    script = "\n".join(
        f"/bin/launchctl setenv {name} {shlex.quote(value)}"
        for name, value in page.environment.items()
    )
    agent = {
        "Label": LABEL,
        "ProgramArguments": ["/bin/sh", "-c", script or ":"],
        "RunAtLoad": True,
    }
    text = plistlib.dumps(agent, sort_keys=False).decode()
    start = '<plist version="1.0">\n'
    comments = [*page.header("", managed=True), *page.comments("")]
    return text.replace(start, start + "".join(map(_comment, comments)), 1)


def parse(text: str) -> dict[str, str]:
    """Return what the agent sets."""
    try:
        agent = plistlib.loads(text.encode())
    except (plistlib.InvalidFileException, ExpatError, ValueError) as exc:
        msg = f"this is no property list: {exc}"
        raise ConfigError(msg) from exc
    arguments = agent.get("ProgramArguments") if isinstance(agent, dict) else None
    environment: dict[str, str] = {}
    words = shlex.split(arguments[-1]) if arguments else []
    for index, word in enumerate(words):
        if word == "setenv" and index + 2 < len(words):
            environment[words[index + 1]] = words[index + 2]
    return environment


def _comment(text: str) -> str:
    """Return a comment of XML, which may hold no two dashes in a row and none at its end."""
    while "--" in text:
        text = text.replace("--", "- -")
    return f"<!-- {text} -->\n"
