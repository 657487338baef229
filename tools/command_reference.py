"""The commands of `aegis-llm` with their options, as Markdown.

Read from the functions that are registered, so that no version of Typer shows through.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

from aegis_llm.cli import app

_KINDS = {str: "text", int: "whole number", float: "number", bool: "", Path: "file"}


def commands() -> Iterator[str]:
    """Yield the lines of the reference."""
    yield "`--help` of each says the same. Exit statuses: [tuning.md](tuning.md)."
    for name, function in sorted(_functions(app, "aegis-llm")):
        yield f"\n### {name}\n"
        yield _line(inspect.getdoc(function) or "") + "\n"
        if rows := [_row(*given) for given in _parameters(function)]:
            yield "| | takes | default | |"
            yield "|---|---|---|---|"
            yield from rows


def _functions(group: typer.Typer, path: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for command in group.registered_commands:
        if command.callback is not None:
            name = command.name or command.callback.__name__.replace("_", "-")
            yield f"{path} {name}", command.callback
    for inner in group.registered_groups:
        if (below := inner.typer_instance) is not None:
            names = (inner.name, below.info.name)
            name = next(name for name in names if isinstance(name, str))
            own = below.registered_callback
            if own is not None and own.callback is not None:  # it does something by itself
                yield f"{path} {name}", own.callback
            yield from _functions(below, f"{path} {name}")


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[str, Any, ParameterInfo, Any]]:
    """Yield name, type, what Typer was told, and default of each parameter."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, default = hints[name], parameter.default
        if kind is typer.Context:
            continue
        told: ParameterInfo = OptionInfo()
        if get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
            told = next((n for n in notes if isinstance(n, ParameterInfo)), told)
        if isinstance(default, ParameterInfo):
            told, default = default, default.default
        if not told.hidden:
            yield name, kind, told, default


def _row(name: str, kind: Any, told: ParameterInfo, default: Any) -> str:
    if isinstance(told, ArgumentInfo):
        shown = f"`{(told.metavar or name).upper()}`"
    else:
        shown = ", ".join(f"`{flag}`" for flag in _flags(name, kind, told, default))
    cells = (shown, _takes(kind, told), _default(default), _line(told.help or ""))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _flags(name: str, kind: Any, told: ParameterInfo, default: Any) -> list[str]:
    # Inside `Annotated`, Typer keeps the first name where a default would be.
    given = [told.default, *(told.param_decls or ())]
    flags = [flag for flag in given if isinstance(flag, str) and flag.startswith("-")]
    if not flags:
        flags = ["--" + name.replace("_", "-")]
        if kind is bool and default is True:
            flags.append(flags[0].replace("--", "--no-"))
    return [part for flag in flags for part in flag.split("/")]


def _takes(kind: Any, told: ParameterInfo) -> str:
    inner = [arg for arg in get_args(kind) if arg is not type(None)]
    if get_origin(kind) in (Union, types.UnionType) and len(inner) == 1:
        return _takes(inner[0], told)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{choice.value}`" for choice in kind)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if get_origin(kind) in (list, tuple, Sequence) and inner:
        return f"{_takes(inner[0], told)}, any number".removeprefix(", ")
    bounds = [f"at least {told.min:g}"] if told.min is not None else []
    bounds += [f"at most {told.max:g}"] if told.max is not None else []
    return ", ".join([part for part in (_KINDS.get(kind, "text"), *bounds) if part])


def _default(value: Any) -> str:
    if value in (inspect.Parameter.empty, ...):
        return "required"
    if value in (None, "", False) or value in ((), []):
        return ""
    return "yes" if value is True else f"`{value}`"


def _line(text: str) -> str:
    """Return help in one line."""
    return re.sub(r"\s+", " ", text.replace("\b", "").replace("\f", " ")).strip()
