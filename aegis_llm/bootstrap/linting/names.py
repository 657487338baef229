"""Variables that are not what they seem: dead, misspelt, of another release. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from aegis_llm.bootstrap.linting.finding import Finding, Level, found, shown
from aegis_llm.bootstrap.linting.llama_arguments import LLAMA_ARGUMENTS
from aegis_llm.bootstrap.variables import (
    CATALOGUE,
    ENGINE,
    NEVER,
    OF_CLIENTS,
    OVERRIDDEN,
    Release,
    Variable,
    dotted,
)

_CLOSE = 0.82
_CLOSE_OF_CHILD = 0.92  # llama.cpp renames its variables now and then
_OURS = ("OLLAMA", "LLAMA_ARG", "OLAMA", "OLLMA")


def about_name(name: str, value: str, version: Release | None) -> Iterator[Finding]:
    """Yield what is wrong with a name; nothing for names that are none of Ollama's."""
    variable = CATALOGUE.get(name)
    if variable is not None:
        yield from _of_release(variable, value, version)
    elif name in NEVER:
        what = f"{name} is read by no release of Ollama"
        yield found("never-read", name, value, "warning", what, _sentence(NEVER[name]))
    elif name.replace("LLAMA_ARG_NO_", "LLAMA_ARG_", 1) in LLAMA_ARGUMENTS:
        yield from _of_child(name, value, version)
    elif name in OF_CLIENTS:
        what = "The server does not read it; programs that call Ollama do"
        yield found("of-clients", name, value, "note", what, "Set it where those programs run")
    elif name.upper().startswith(_OURS):
        yield from _unknown(name, value)


def meant(name: str) -> str | None:
    """Return the variable that a misspelt name stands for; None: none is close."""
    upper = name.upper().replace("-", "_")
    known = [one for one, variable in CATALOGUE.items() if variable.gone is None]
    if upper in known or upper in LLAMA_ARGUMENTS:
        return upper
    squeezed = {one.replace("_", ""): one for one in [*known, *LLAMA_ARGUMENTS, *NEVER]}
    exact = squeezed.get(upper.replace("_", ""))
    if exact is not None:
        return exact
    cutoff = _CLOSE_OF_CHILD if upper.startswith("LLAMA_ARG") else _CLOSE
    close = get_close_matches(upper.replace("_", ""), squeezed, n=1, cutoff=cutoff)
    return squeezed[close[0]] if close else None


def _of_release(variable: Variable, value: str, version: Release | None) -> Iterator[Finding]:
    gone, name = variable.gone, variable.name
    if version is not None and version < variable.since:
        what = f"{name} is read from {dotted(variable.since)} on; this is {dotted(version)}"
        do = "Upgrade Ollama, or take it away"
        yield found("too-new", name, value, "warning", what, do)
    elif gone is not None and (version is None or version >= gone):
        what = f"{name} {variable.what} until Ollama {dotted(gone)}, which reads it no more"
        level: Level = "note" if version is None else "warning"
        yield found("dead", name, value, level, what, _sentence(variable.instead))


def _of_child(name: str, value: str, version: Release | None) -> Iterator[Finding]:
    if version is not None and version < ENGINE:
        what = f"{name} is for llama-server, which Ollama runs from 0.30 on"
        do = f"Take it away, or upgrade Ollama {dotted(version)}"
        yield found("too-new", name, value, "warning", what, do)
    elif name in OVERRIDDEN:
        what = f"Ollama gives llama-server a flag that is stronger than {name}"
        yield found("overridden", name, value, "warning", what, f"Use {OVERRIDDEN[name]}")


def _unknown(name: str, value: str) -> Iterator[Finding]:
    likely = meant(name)
    if likely is None and name.startswith("LLAMA_ARG"):
        what = f"{name} is not among the variables that llama-server of October 2026 reads"
        yield found("unknown", name, value, "note", what, "Check it with `llama-server --help`")
    elif likely is None:
        what = f"No release of Ollama reads {name}"
        yield found("unknown", name, value, "warning", what, "Take it away")
    elif likely in NEVER:
        what = f"No release of Ollama reads {name}, nor {likely}"
        yield found("never-read", name, value, "warning", what, _sentence(NEVER[likely]))
    else:
        what = f"No release of Ollama reads {name}; {likely} is read"
        yield found("misspelt", name, value, "error", what, f"Write {likely}={shown(name, value)}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
