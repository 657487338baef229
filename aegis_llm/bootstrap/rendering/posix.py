"""Forms that a POSIX shell reads, or that are plain lines: shell, docker run, env file. Pure."""

from __future__ import annotations

import re
import shlex

from aegis_llm.bootstrap.rendering.page import Page


def render_shell(page: Page) -> str:
    """Return lines for `sh`: exports, then `ollama serve`."""
    lines = page.header()
    for name, value in page.environment.items():
        lines += page.comment(name)
        lines.append(f"export {name}={shlex.quote(value)}")
    return "\n".join([*lines, "exec ollama serve"]) + "\n"


def parse_shell(text: str) -> dict[str, str]:
    """Return what the `export` lines set; nothing is expanded."""
    environment: dict[str, str] = {}
    for line in text.splitlines():
        if line.lstrip().startswith("export "):
            for word in shlex.split(line, comments=True)[1:]:
                name, found, value = word.partition("=")
                if found:
                    environment[name] = value
    return environment


def render_docker(page: Page) -> str:
    """Return the command that runs the container anew; GPUs only where there is one."""
    name = page.container
    lines = [
        *page.header(),
        *page.comments(),
        "# The old container has to go first, with all of its models that are in no volume. See"
        " what it has, and change -v, -p and the rest to the same:",
        f"# docker inspect {name}",
        f"# docker rm -f {name}",
    ]
    parts = [
        "docker run -d",
        f"--name {name}",
        "--restart unless-stopped",
        "-v ollama:/root/.ollama",
        "-p 127.0.0.1:11434:11434",
    ]
    if page.gpu == "nvidia":
        parts.append("--gpus=all")
    elif page.gpu == "amd":
        parts.append("--device /dev/kfd --device /dev/dri")
    parts += [f"-e {shlex.quote(f'{name}={value}')}" for name, value in page.environment.items()]
    return "\n".join(lines) + "\n" + " \\\n  ".join([*parts, page.image]) + "\n"


def parse_docker(text: str) -> dict[str, str]:
    """Return what the `-e` and `--env` of a `docker run` line set."""
    environment: dict[str, str] = {}
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    words = shlex.split(re.sub(r"(?<= )\\\n", " ", plain))
    for index, word in enumerate(words):
        if word in ("-e", "--env"):
            given = words[index + 1] if index + 1 < len(words) else ""
        elif word.startswith("--env="):
            given = word.removeprefix("--env=")
        else:
            continue
        name, found, value = given.partition("=")
        if found:
            environment[name] = value
    return environment


def render_env(page: Page) -> str:
    """Return lines for `docker run --env-file`, which takes each value as it is written."""
    lines = [*page.header(), "# For `docker run --env-file`: values are literal, without quotes."]
    for name, value in page.environment.items():
        lines += page.comment(name)
        lines.append(f"{name}={value}")
    return "\n".join(lines) + "\n"


def parse_env(text: str) -> dict[str, str]:
    """Return the variables of such a file; a name without `=` takes the caller's, so none.

    Raises:
        ValueError: A name holds white space, which docker refuses.
    """
    environment: dict[str, str] = {}
    for line in text.split("\n"):
        stripped = line.removesuffix("\r").lstrip()
        name, found, value = stripped.partition("=")
        if found and not stripped.startswith("#"):
            if name.split() != [name]:
                msg = f"{name!r} is no name of a variable"
                raise ValueError(msg)
            environment[name] = value
    return environment
