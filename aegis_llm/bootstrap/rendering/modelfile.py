"""A Modelfile with the `PARAMETER`s that say the same as a variable. Pure."""

from __future__ import annotations

import re

from aegis_llm.bootstrap.rendering.page import Page
from aegis_llm.errors import ConfigError

SAYS = {"OLLAMA_CONTEXT_LENGTH": "num_ctx", "LLAMA_ARG_THREADS": "num_thread"}
"""Variables that a Modelfile can say, each with its parameter."""
_LINE = re.compile(r"\s*PARAMETER\s+(\w+)\s+(\S+)\s*", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]+")


def render(page: Page) -> str:
    """Return the Modelfile of the one model.

    Raises:
        ConfigError: Not one model is given, or a value is no whole number.
    """
    if len(page.models) != 1:
        msg = f"a Modelfile is of one model and {len(page.models)} are given; name one"
        raise ConfigError(msg)
    model = page.models[0]
    given = page.options.get(model.name, {})
    lines = [*page.header(), "# Use: ollama create NAME -f FILE, then ask for NAME.",
             f"FROM {model.name}"]  # fmt: skip
    for name, value in page.environment.items():
        parameter = SAYS.get(name)
        if parameter is None:
            lines.append(f"# A Modelfile cannot say {name}={value}; set it on the server.")
        elif parameter not in given:
            if not _WHOLE.fullmatch(value):
                msg = f"{name}={value!r} is no whole number, so no {parameter} of a Modelfile"
                raise ConfigError(msg)
            lines += page.comment(name)
            lines.append(f"PARAMETER {parameter} {value}")
    lines += [f"PARAMETER {parameter} {value}" for parameter, value in given.items()]
    return "\n".join(lines) + "\n"


def parse(text: str) -> dict[str, str]:
    """Return the variables that the parameters stand for, only those."""
    variables = {parameter: name for name, parameter in SAYS.items()}
    found = (_LINE.fullmatch(line) for line in text.splitlines())
    return {variables[m[1].lower()]: m[2] for m in found if m and m[1].lower() in variables}
