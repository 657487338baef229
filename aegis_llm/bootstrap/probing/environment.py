"""Which variables concern inference, and how files write them. Pure.

Only these are ever kept: an environment holds secrets, and a fact file is passed on.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from aegis_llm.config import safe_url

_CONCERNS = re.compile(
    r"OLLAMA_\w+|LLAMA_ARG_\w+|GGML_\w+|(CUDA|HIP|ROCR|GPU|GGML_VK)_VISIBLE_DEVICES"
    r"|CUDA_DEVICE_ORDER|GPU_DEVICE_ORDINAL|HSA_OVERRIDE_GFX_VERSION\w*",
    re.ASCII,
)
_SECRET = re.compile(
    r"(^|_)(API|KEYS?|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|HEADERS?)(_|$)", re.ASCII
)
_ASSIGNED = re.compile(
    r"^\s*(?:export\s+|set\s+(?:-\w+\s+)+|setenv\s+)?([A-Za-z_]\w*)(?:=|\s+)(.*)$", re.ASCII
)
_LONGEST = 4096


def concerns(name: str) -> bool:
    """Return whether a variable is one of inference, and none that holds a secret."""
    return bool(_CONCERNS.fullmatch(name)) and not _SECRET.search(name)


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that concern inference, in order of their names, URLs made safe."""
    return {
        name: safe_value(value[:_LONGEST])
        for name, value in sorted(environment.items())
        if concerns(name)
    }


def of_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Return the variables of `NAME=value` texts, later ones stronger."""
    return {name: value for name, equals, value in (one.partition("=") for one in pairs) if equals}


def of_shell(text: str) -> dict[str, str]:
    """Return the variables of inference that a shell's profile or an env file sets.

    Read by eye, not run: a value that the shell would compute is given as it is written.
    """
    found: dict[str, str] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.lstrip().startswith("#"):
            continue
        for part in re.split(r"&&|;(?=\s*export\s)", line):
            match = _ASSIGNED.match(part)
            if match is None or not concerns(match[1]):
                continue
            keyword = part.split()[0] in {"set", "setenv"}
            if keyword or "=" in part.partition(match[1])[2][:1]:
                found[match[1]] = _unquoted(match[2])
    return kept(found)


def _unquoted(text: str) -> str:
    """Return the first word of a shell's line, without its quotes and without a comment."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    try:
        return next(lexer, "")
    except ValueError:  # a quotation that does not end
        return text.strip().strip("\"'")


def safe_value(value: str) -> str:
    """Return the value with what may be a password in a URL taken out."""
    if "@" not in value and "://" not in value:
        return value
    parts = value.split(",")
    if any("://" in part and ("@" in part or "?" in part) for part in parts):
        return ",".join(safe_url(part.strip()) if "://" in part else part for part in parts)
    if re.match(r"[^/\s@]+:[^/\s@]+@", value):
        return safe_url(f"http://{value}").removeprefix("http://")
    return value
