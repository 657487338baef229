"""What a function's bytecode does, and what it reaches outside of itself. Pure."""

from __future__ import annotations

import dis
import hashlib
import types
from collections.abc import Iterator
from typing import Any

_READS = {
    "LOAD_GLOBAL": "global",
    "LOAD_NAME": "name",  # in the body of a class: a name of its own, or a global
    "LOAD_FROM_DICT_OR_GLOBALS": "name",
    "LOAD_DEREF": "cell",
    "LOAD_CLASSDEREF": "cell",
    "LOAD_FROM_DICT_OR_DEREF": "cell",
}
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_NOTHING = frozenset({"EXTENDED_ARG", "NOP", "CACHE"})


def code_told(code: types.CodeType) -> Any:
    """Return what a function does, without the lines and the file that it stands in."""
    hashed = hashlib.sha256(code.co_code + b" " + code.co_exceptiontable).hexdigest()
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    return [hashed, [_constant(c) for c in code.co_consts], *map(list, names), counts]


def reached_by(code: types.CodeType) -> set[tuple[tuple[str, ...], str]]:
    """Return every name that is read from outside, with the attributes read of it at once."""
    reached = set()
    for inner in _codes(code):
        steps = list(_steps(inner))
        for at, step in enumerate(steps):
            if (kind := _READS.get(step.opname)) is None:
                continue
            path = [str(step.argval)]
            for following in steps[at + 1 :]:
                if following.opname not in _ATTRIBUTES:
                    break
                path.append(str(following.argval))
            reached.add((tuple(path), kind))
    return reached


def imports_of(
    code: types.CodeType, package: str | None
) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Yield every module imported inside, and the names taken from it (None: itself)."""
    for inner in _codes(code):
        steps = list(_steps(inner))
        for at, step in enumerate(steps):
            if step.opname != "IMPORT_NAME":
                continue
            level, wanted = steps[at - 2].argval, steps[at - 1].argval
            yield _absolute(str(step.argval), level, package or ""), wanted


def _absolute(name: str, level: int, package: str) -> str:
    if not level:
        return name
    base = package.rsplit(".", level - 1)[0]
    return f"{base}.{name}" if name else base


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _steps(code: types.CodeType) -> Iterator[dis.Instruction]:
    return (step for step in dis.get_instructions(code) if step.opname not in _NOTHING)


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return code_told(value)
    if isinstance(value, frozenset):
        return ["frozenset", sorted(map(_constant, value), key=repr)]
    if isinstance(value, tuple):
        return ["tuple", [_constant(one) for one in value]]
    return f"{type(value).__name__} {value!r}"
