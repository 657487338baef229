"""Writes an environment in the form that each way of running Ollama reads, and reads it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar, get_args

from aegis_llm.bootstrap.advice import ModelPlan
from aegis_llm.bootstrap.facts import Facts
from aegis_llm.bootstrap.rendering import launchd, modelfile, posix, systemd, windows, yaml_forms
from aegis_llm.bootstrap.rendering.page import MARK, Page, checked
from aegis_llm.errors import ConfigError

Form = Literal[
    "systemd", "docker", "compose", "env", "kubernetes", "helm", "launchd", "windows", "shell",
    "modelfile",
]  # fmt: skip
FORMS: tuple[Form, ...] = get_args(Form)

__all__ = ["FORMS", "Form", "is_ours", "parse", "render"]

_RENDER: dict[Form, Callable[[Page], str]] = {
    "systemd": systemd.render,
    "docker": posix.render_docker,
    "compose": yaml_forms.render_compose,
    "env": posix.render_env,
    "kubernetes": yaml_forms.render_kubernetes,
    "helm": yaml_forms.render_helm,
    "launchd": launchd.render,
    "windows": windows.render,
    "shell": posix.render_shell,
    "modelfile": modelfile.render,
}
_PARSE: dict[Form, Callable[[str], dict[str, str]]] = {
    "systemd": systemd.parse,
    "docker": posix.parse_docker,
    "compose": yaml_forms.parse_compose,
    "env": posix.parse_env,
    "kubernetes": yaml_forms.parse_kubernetes,
    "helm": yaml_forms.parse_helm,
    "launchd": launchd.parse,
    "windows": windows.parse,
    "shell": posix.parse_shell,
    "modelfile": modelfile.parse,
}
_HEAD = 1000
_Way = TypeVar("_Way")


def render(
    environment: Mapping[str, str],
    form: Form,
    *,
    models: Sequence[ModelPlan] = (),
    reasons: Mapping[str, str] | None = None,
    facts: Facts | None = None,
    options: Mapping[str, Mapping[str, int]] | None = None,
) -> str:
    """Return the text of a form; the same input gives the same text.

    Args:
        environment: What to set.
        form: For whom.
        models: What each model gets: notes on memory, and the one model of a Modelfile.
        reasons: By variable, one sentence; it becomes a comment.
        facts: The machine: its GPU, Ollama's version and its container, where a form has them.
        options: Request options by model (`Advice.options`), for a Modelfile.

    Raises:
        ConfigError: A name or value that cannot be written, an unknown form.
    """
    page = Page(checked(environment), models, reasons or {}, facts, options or {})
    return _known(_RENDER, form)(page)


def parse(text: str, form: Form) -> dict[str, str]:
    """Return the environment that a text sets, ours or another's, as its reader takes it.

    Raises:
        ConfigError: It is not of that form.
    """
    reader = _known(_PARSE, form)
    try:
        return reader(text)
    except ConfigError:
        raise
    except ValueError as exc:
        msg = f"this is no text of the form {form}: {exc}"
        raise ConfigError(msg) from exc


def is_ours(text: str) -> bool:
    """Return whether a file was written by `render`."""
    return MARK in text[:_HEAD]


def _known(table: Mapping[Form, _Way], form: Form) -> _Way:
    if form not in table:
        msg = f"there is no form {form!r}; there are {', '.join(FORMS)}"
        raise ConfigError(msg)
    return table[form]
