"""Reads the variables out of a text that sets them, in whatever form. Pure."""

from __future__ import annotations

import re
import shlex

from aegis_llm.errors import ConfigError

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PAIR = re.compile(rf"({_NAME})=(.*)", re.DOTALL)
_YAML = re.compile(rf"-?\s*[\"']?({_NAME})[\"']?\s*:\s+(.+)")
_K8S = re.compile(r"-?\s*(name|value):\s*(.+)")
_FLAG = re.compile(rf"(?:-e|--env)[ =][\"']?({_NAME})=")
_OURS = (
    "OLLAMA",
    "OLAMA",
    "OLLMA",
    "LLAMA_ARG",
    "CUDA_",
    "HIP_",
    "ROCR_",
    "GGML_",
    "HSA_",
    "GPU_",
)


def environment_of(text: str, where: str = "the text") -> dict[str, str]:
    """Return the variables of a text; of two values the last.

    It may be lines of `KEY=VALUE` (an env file, a shell script, arguments), a systemd unit or
    drop-in, a compose file, a Kubernetes manifest, or a `docker run` command.

    Raises:
        ConfigError: It sets nothing.
    """
    environment: dict[str, str] = {}
    pending: str | None = None
    for raw in _joined(text):
        line = raw.strip()
        if not line or line.startswith(("#", ";", "//")):
            continue
        k8s = _K8S.fullmatch(line)
        if k8s and k8s[1] == "name" and k8s[2].strip("\"'").upper().startswith(_OURS):
            pending = k8s[2].strip("\"'")
        elif k8s and k8s[1] == "value" and pending is not None:
            environment[pending] = _bare(k8s[2])
            pending = None
        else:
            environment.update(_of_line(line))
    if not environment:
        msg = (
            f'{where} sets no variable; lines such as KEY=VALUE, Environment="KEY=VALUE" or '
            "KEY: VALUE are read"
        )
        raise ConfigError(msg)
    return environment


def _joined(text: str) -> list[str]:
    """Return the lines, those that end in a backslash joined with the next."""
    return re.sub(r"\\\r?\n", " ", text).splitlines()


def _of_line(line: str) -> dict[str, str]:
    if line.startswith("Environment="):
        return _pairs(_words(line.removeprefix("Environment=")), percent=True)
    for word in ("export ", "ENV ", "set ", "launchctl setenv ", "setx "):
        if line.startswith(word):
            rest = line.removeprefix(word)
            spaced = rest.split(maxsplit=1)
            if "=" not in spaced[0] and len(spaced) == 2:
                return {spaced[0]: _bare(spaced[1])}
            return _pairs(_words(rest))
    if _FLAG.search(line):
        return _pairs([one.removeprefix("--env=") for one in _words(line)])
    yaml = _YAML.fullmatch(line)
    if yaml and yaml[1].upper().startswith(_OURS):
        return {yaml[1]: _bare(yaml[2])}
    pair = _PAIR.fullmatch(_bare(line.removeprefix("- ").strip()))
    return {pair[1]: _bare(pair[2])} if pair else {}


def _pairs(words: list[str], *, percent: bool = False) -> dict[str, str]:
    found = {}
    for word in words:
        pair = _PAIR.fullmatch(word)
        if pair:
            found[pair[1]] = pair[2].replace("%%", "%") if percent else pair[2]
    return found


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=False)
    except ValueError:  # a quotation mark that is not closed
        return text.split()


def _bare(value: str) -> str:
    """Return a value without a comment behind it and the quotes around it."""
    value = re.sub(r"\s+#.*$", "", value.strip())
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
