"""What a thing made of Python parts does, written down: two that differ give two texts. Pure.

Functions are told by their names and bytecode, with all that they use; a library's by their names.
What cannot be written down is refused: guessing would let two different chains share answers.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import dis
import enum
import fractions
import functools
import hashlib
import operator
import pathlib
import re
import sys
import sysconfig
import types
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

_SCALARS = (str, int, float, bool, type(None))
_BY_TEXT = (
    datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction,
    pathlib.PurePath, uuid.UUID, complex, bytes, range, re.Pattern,
)  # fmt: skip
_GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
_CALLABLES = (
    functools.partial, types.MethodType, types.BuiltinFunctionType, types.MethodWrapperType,
    types.FunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, *_GETTERS,
)  # fmt: skip
_MEMBERS = (types.FunctionType, staticmethod, classmethod, property, str, int, float, tuple)
_MACHINERY = frozenset({"__module__", "__doc__", "__slots__", "__qualname__"})
_FRAMEWORKS = ("langchain", "langgraph", "llama_index", "aegis_llm", "pydantic", "ollama")
_INSTALLED = tuple(p for name in ("purelib", "platlib") if (p := sysconfig.get_path(name)))
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_encode = msgspec.json.Encoder(order="sorted").encode

Special = Callable[[Any, "Teller"], Any]
"""What an adapter knows of its framework's parts; `NOT_SPECIAL` for everything else."""
NOT_SPECIAL = object()


class UnnameableError(ValueError):
    """Something cannot be written down; the text says where it is and what it is."""


class Teller:
    """Writes one thing down; of what `special` does not know, only plain Python is taken."""

    def __init__(self, special: Special) -> None:
        self._special = special
        self._seen: dict[int, int] = {}
        self._held: list[Any] = []  # so that no id is given twice
        self._path: list[str] = []
        self._classes: set[type] = set()

    def fingerprint(self, value: Any) -> str:
        """Return a hash of what the thing does.

        Raises:
            UnnameableError: A part of it cannot be written down.
        """
        try:
            return hashlib.sha256(_encode(self.told(value))).hexdigest()
        except (TypeError, UnicodeError, RecursionError, msgspec.MsgspecError) as exc:
            msg = f"it cannot be written down: {exc}"
            raise UnnameableError(msg) from exc

    def told(self, value: Any, where: str = "") -> Any:
        """Return the thing as JSON values."""
        if type(value) in _SCALARS:
            return value if not isinstance(value, float) else repr(value)
        if id(value) in self._seen:
            return ["seen", self._seen[id(value)]]
        self._seen[id(value)] = len(self._seen)
        self._held.append(value)
        if where:
            self._path.append(where)
        try:
            found = self._special(value, self)
            return self._plain(value) if found is NOT_SPECIAL else found
        finally:
            if where:
                self._path.pop()

    def fields(self, value: Any, names: Sequence[str]) -> dict[str, Any]:
        """Return these attributes of a thing, written down."""
        return {name: self.told(getattr(value, name, None), name) for name in names}

    def class_told(self, cls: type) -> Any:
        """Return a class: its name, and what it does if it is the user's."""
        return self._class(cls)

    def refuse(self, value: Any) -> UnnameableError:
        """Return the error that says where a thing is and what it is."""
        place = " > ".join(self._path) or "here"
        return UnnameableError(f"{place}: a {_qualified(type(value))}")

    def _plain(self, value: Any) -> Any:
        if isinstance(value, Mapping) and type(value) in (dict, types.MappingProxyType):
            return ["map", [[self.told(k), self.told(v, str(k))] for k, v in value.items()]]
        if type(value) in (list, tuple):
            return ["list", [self.told(one) for one in value]]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return ["named", self._class(type(value)), [self.told(one) for one in value]]
        if type(value) in (set, frozenset):
            return ["set", sorted((self.told(one) for one in value), key=repr)]
        if isinstance(value, enum.Enum):
            return ["enum", _qualified(type(value)), value.name]
        if isinstance(value, _BY_TEXT):
            return ["text", _qualified(type(value)), repr(value)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, _CALLABLES) or hasattr(value, "__wrapped__"):
            return self._callable(value)
        return self._object(value)

    def _callable(self, value: Any) -> Any:
        if isinstance(value, functools.partial):
            parts = [value.func, list(value.args), dict(value.keywords)]
            return ["partial", *(self.told(part) for part in parts)]
        if isinstance(value, _GETTERS):
            return ["getter", *(self.told(part) for part in value.__reduce__())]
        if isinstance(value, types.MethodType):
            return ["method", self.told(value.__self__, "self"), self.told(value.__func__)]
        if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType):
            owner = value.__self__
            held = None if isinstance(owner, types.ModuleType | type(None)) else self.told(owner)
            return ["builtin", value.__qualname__, getattr(value, "__module__", None), held]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodDescriptorType | types.WrapperDescriptorType):
            return ["descriptor", value.__qualname__]
        if hasattr(value, "__wrapped__"):  # lru_cache and the like
            return ["wrapped", _qualified(type(value)), self.told(value.__wrapped__)]
        raise self.refuse(value)

    def _function(self, function: types.FunctionType) -> Any:
        name, where = f"{function.__module__}.{function.__qualname__}", function.__qualname__
        code, library = function.__code__, _library(function.__module__)
        held = {
            one: self.told(cell.cell_contents, f"{where} uses {one}")
            for one, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
            if _filled(cell)
        }
        if library is not None:
            return ["function", name, library, held]
        used = {
            one: self.told(function.__globals__[one], f"{where} uses {one}")
            for one in sorted(set(_globals_of(code)))
            if one in function.__globals__
        }
        defaults = [self.told(function.__defaults__), self.told(function.__kwdefaults__)]
        return ["function", name, _code(code), used, held, defaults]

    def _class(self, cls: type) -> Any:
        name, library = _qualified(cls), _library(cls.__module__)
        if library is not None or cls in self._classes:
            return ["class", name, library]
        self._classes.add(cls)
        members = {
            member: self.told(_unwrapped(value), f"{cls.__qualname__}.{member}")
            for member, value in sorted(vars(cls).items())
            if member not in _MACHINERY and isinstance(value, _MEMBERS)
        }
        return ["class", name, members, [self._class(base) for base in cls.__bases__]]

    def _object(self, value: Any) -> Any:
        cls = type(value)
        if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return ["object", self._class(cls), self.fields(value, names)]
        if _library(cls.__module__) is not None or not hasattr(value, "__dict__"):
            raise self.refuse(value)
        return ["object", self._class(cls), self.told(dict(vars(value)))]


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _library(module: str | None) -> str | None:
    """Return the version of an installed module; None when what it does is to be written down."""
    if module in ("builtins", None):
        return ""
    path = getattr(sys.modules.get(str(module)), "__file__", None)
    top = str(module).partition(".")[0]
    if top == "__main__":
        return None
    if top in sys.stdlib_module_names or top.startswith(_FRAMEWORKS):
        return ""
    version = getattr(sys.modules.get(top), "__version__", None)
    installed = path is not None and str(path).startswith(_INSTALLED)
    return str(version) if version is not None and installed else None


def _code(code: types.CodeType) -> Any:
    """Return what a function does, without the lines and the file that it stands in."""
    constants = [
        _code(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts
    ]
    hashed = hashlib.sha256(code.co_code).hexdigest()
    return [hashed, constants, list(code.co_names), list(code.co_varnames), code.co_argcount]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, frozenset):
        return "frozenset " + " ".join(sorted(map(_constant, value)))
    return f"{type(value).__name__} {value!r}"


def _globals_of(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _GLOBALS:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that is not yet bound
        return False


def _unwrapped(member: Any) -> Any:
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    if isinstance(member, property):
        return [member.fget, member.fset]
    return member
