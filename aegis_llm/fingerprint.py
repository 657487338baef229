"""What a thing made of Python parts does, written down: two that differ give two texts. Pure.

Functions are told by their names and bytecode, with all that they use; a library's by their names.
What cannot be written down is refused: guessing would let two different chains share answers.
"""

from __future__ import annotations

import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import logging
import operator
import pathlib
import re
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from aegis_llm.bytecode import code_told, imports_of, reached_by
from aegis_llm.installed import library
from aegis_llm.members import OF_AN_ENUM, hides, members_of, state_of

_BY_TEXT = (
    datetime.date, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal,
    fractions.Fraction, pathlib.PurePath, uuid.UUID, complex, bytes, range, type(...),
    type(NotImplemented),
)  # fmt: skip
_GETTERS = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
_CACHED = type(functools.cache(len))
_MAPS = (dict, collections.OrderedDict, collections.Counter)
_BASES: dict[type, Callable[[Any], Any]] = {
    dict: lambda value: dict(dict.items(value)),
    list: lambda value: list(list.__iter__(value)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    set: lambda value: set(set.__iter__(value)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}
"""What a user's own kind of each holds, whatever its methods say."""
_UNTOLD = frozenset({"eval", "exec", "__import__", "globals", "import_module"})
"""What runs code that stands nowhere."""
_encode = msgspec.json.Encoder(order="sorted").encode

Special = Callable[[Any, "Teller"], Any]
"""What an adapter knows of its framework's parts; `NOT_SPECIAL` for everything else."""
NOT_SPECIAL = object()


_OF_C = (
    types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType,
    types.MemberDescriptorType, types.GetSetDescriptorType,
)  # fmt: skip
_KNOWN: dict[type, Callable[[Any], list[Any]]] = {
    type(vars(collections.namedtuple("_One", "field"))["field"]): (
        lambda value: [value.__reduce__()[1][0]]
    ),
    type(vars(dataclasses)["_HAS_DEFAULT_FACTORY"]): lambda _: [],
    logging.Logger: lambda value: [value.name],  # writes, and answers nothing
    logging.RootLogger: lambda _: [],
}
_HOLDERS = (
    *_MAPS, types.MappingProxyType, list, tuple, set, frozenset, collections.defaultdict,
    collections.deque,
)  # fmt: skip
_BUILTINS = frozenset(vars(builtins))


class UnnameableError(ValueError):
    """Something cannot be written down; the text says where it is and what it is."""


class Teller:
    """Writes one thing down; of what `special` does not know, only plain Python is taken."""

    def __init__(self, special: Special) -> None:
        self._special = special
        self._seen: dict[int, int] = {}
        self._held: list[Any] = []  # so that no id is given twice
        self._path: list[str] = []
        self._classes: dict[type, int] = {}

    def fingerprint(self, value: Any) -> str:
        """Return a hash of what the thing does.

        Raises:
            UnnameableError: A part of it cannot be written down.
        """
        try:
            return hashlib.sha256(_encode(self.told(value))).hexdigest()
        except (
            TypeError, UnicodeError, OverflowError, RecursionError, msgspec.MsgspecError,
        ) as exc:  # fmt: skip
            msg = f"it cannot be written down: {exc}"
            raise UnnameableError(msg) from exc

    def told(self, value: Any, where: str = "") -> Any:
        """Return the thing as JSON values."""
        if value is None or type(value) in (str, bool):
            return value
        if type(value) is float or (type(value) is int and abs(value) >= 1 << 53):
            return _number(value)
        if type(value) is int:
            return value
        if id(value) in self._seen:
            return ["seen", self._seen[id(value)]]
        known = len(self._seen), len(self._classes)
        self._seen[id(value)] = len(self._seen)
        self._held.append(value)
        if where:
            self._path.append(where)
        try:
            found = self._special(value, self)
            return self._plain(value) if found is NOT_SPECIAL else found
        except UnnameableError:  # an adapter may go on without it: nothing of it was told
            self._seen = dict(list(self._seen.items())[: known[0]])
            self._classes = dict(list(self._classes.items())[: known[1]])
            raise
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
        cls = type(value)
        if cls in _HOLDERS:
            return self._holder(value)
        if isinstance(value, enum.Enum):
            return self._member(value)
        if cls is zoneinfo.ZoneInfo and value.key is not None:
            return ["zone", value.key]
        if isinstance(value, re.Pattern):
            return ["pattern", self.told(value.pattern), value.flags]
        if isinstance(value, _BY_TEXT) and library(cls.__module__) is not None:
            zone = getattr(value, "tzinfo", None)
            return ["text", _qualified(cls), repr(value), self.told(zone)]
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, type):
            return self._class(value)
        return self._part(value)

    def _part(self, value: Any) -> Any:
        if type(value).__module__ == "typing" and typing.get_origin(value) is None:
            return ["typing", _qualified(type(value)), repr(value)]
        if typing.get_origin(value) is not None:
            parts = [typing.get_origin(value), typing.get_args(value)]
            return ["alias", *(self.told(part) for part in parts)]
        told = self._callable(value)
        told = self._descriptor(value) if told is None else told
        return self._object(value) if told is None else told

    def _holder(self, value: Any) -> Any:
        cls = type(value)
        if cls in (*_MAPS, types.MappingProxyType):
            items = [[self.told(k), self.told(v, str(k))] for k, v in value.items()]
            return ["map", items] if cls is dict else ["map", items, _qualified(cls)]
        if cls in (list, tuple):
            return [cls.__name__, [self.told(one) for one in value]]
        if cls in (set, frozenset):
            return ["set", sorted((self.told(one) for one in value), key=repr)]
        if cls is collections.defaultdict:
            return ["defaults", self.told(value.default_factory), self.told(dict(value))]
        return ["deque", value.maxlen, self.told(list(value))]

    def _callable(self, value: Any) -> Any:
        cls = type(value)
        if cls in (functools.partial, functools.partialmethod):
            parts = [value.func, list(value.args), dict(value.keywords), dict(vars(value))]
            if cls is functools.partialmethod:
                parts.pop()
            return [cls.__name__, *(self.told(part) for part in parts)]
        if cls in _GETTERS:
            return ["getter", *(self.told(part) for part in value.__reduce__())]
        if cls is types.MethodType:
            return ["method", self.told(value.__self__, "self"), self.told(value.__func__)]
        if cls in (types.BuiltinFunctionType, types.MethodWrapperType):
            owner = value.__self__
            held = None if owner is None else self.told(owner)
            if value.__name__ in _UNTOLD:
                raise self.refuse(value)
            return ["builtin", value.__qualname__, getattr(value, "__module__", None), held]
        if cls is types.FunctionType:
            return self._function(value)
        if cls is _CACHED:
            more = {k: v for k, v in vars(value).items() if k != "__wrapped__"}
            parameters = value.cache_parameters()
            return ["cached", *(self.told(part) for part in (value.__wrapped__, parameters, more))]
        return None

    def _descriptor(self, value: Any) -> Any:
        cls = type(value)
        if cls is property:
            return ["property", *map(self.told, (value.fget, value.fset, value.fdel))]
        if cls in (staticmethod, classmethod):
            return [cls.__name__, self.told(value.__func__)]
        if cls is functools.cached_property:
            return ["cached property", self.told(value.func)]
        if cls in _OF_C:
            return [cls.__name__, value.__name__, self._class(value.__objclass__)]
        return ["known", _qualified(cls), *_KNOWN[cls](value)] if cls in _KNOWN else None

    def _function(self, function: types.FunctionType) -> Any:
        code, where = function.__code__, function.__qualname__
        module = function.__globals__.get("__name__")  # `wraps` copies the names of another
        name, known = f"{module}.{code.co_qualname}", library(module)
        if name == "importlib.import_module":
            raise self.refuse(function)
        outside = {
            one: cell.cell_contents
            for one, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
            if _filled(cell)
        }
        if known is not None:
            told = {one: self.told(held, f"{where} uses {one}") for one, held in outside.items()}
            return ["function", name, known, told]
        used: dict[str, Any] = {}
        for path, found in self._used(function, outside):
            one = ".".join(path)
            if one not in used:
                used[one] = self.told(found, f"{where} uses {one}")
        more = [where, function.__defaults__, function.__kwdefaults__, dict(vars(function))]
        return ["function", name, code_told(code), used, *(self.told(one) for one in more)]

    def _used(
        self, function: types.FunctionType, outside: dict[str, Any]
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield all that a function reads from outside of itself, by its path."""
        code, names = function.__code__, function.__globals__
        for path, kind in sorted(reached_by(code)):
            scope = outside if kind == "cell" else names
            if path[0] in scope:
                yield _followed(path, scope[path[0]])
            elif kind == "global" and (path[0] in _UNTOLD or path[0] not in _BUILTINS):
                msg = f"{function.__qualname__} uses {path[0]}, of which nothing can be told"
                raise UnnameableError(" > ".join([*self._path, msg]))
        for one, held in outside.items():
            if not isinstance(held, types.ModuleType):
                yield (one,), held
        for module, wanted in imports_of(code, names.get("__package__")):
            if library(module) is not None:
                yield ("import", module), library(module)
                continue
            loaded = sys.modules.get(module)
            if loaded is None or wanted is None or any(one not in vars(loaded) for one in wanted):
                msg = f"{function.__qualname__} imports {module} inside: import it at the top"
                raise UnnameableError(" > ".join([*self._path, msg]))
            for one in wanted:
                yield ("import", module, one), vars(loaded)[one]

    def _module(self, module: types.ModuleType) -> Any:
        known = library(module.__name__)
        if known is None:
            raise self.refuse(module)  # a user's: what of it is used is not known here
        return ["module", module.__name__, known]

    def _class(self, cls: type) -> Any:
        name, known = _qualified(cls), library(cls.__module__)
        if known is not None:
            mine = [base for base in cls.__mro__ if library(base.__module__) is None]
            return ["class", name, known, *map(self._class, mine)]
        if cls in self._classes:
            return ["class", name, self._classes[cls]]
        self._classes[cls] = len(self._classes)
        members = {
            member: self.told(value, f"{cls.__qualname__}.{member}")
            for member, value in sorted(members_of(cls).items())
        }
        if typing.is_typeddict(cls):
            members["__annotations__"] = self.told(dict(cls.__annotations__))
        return ["class", name, members, [self._class(one) for one in (*cls.__bases__, type(cls))]]

    def _member(self, value: enum.Enum) -> Any:
        cls = type(value)
        told = ["enum", self._class(cls), value.name]
        if library(cls.__module__) is not None:
            return told
        more = {k: v for k, v in vars(value).items() if k not in OF_AN_ENUM}
        return [*told, self.told(value._value_), self.told(more)]

    def _object(self, value: Any) -> Any:
        cls = type(value)
        told = self._class(cls)
        if library(cls.__module__) is not None:
            if dataclasses.is_dataclass(value):
                names = [field.name for field in dataclasses.fields(value)]
                return ["object", told, self.fields(value, names)]
            if isinstance(value, tuple) and hasattr(value, "_fields"):
                return ["object", told, [self.told(one) for one in value]]
            raise self.refuse(value)
        base = next((one for one in _BASES if isinstance(value, one)), object)
        if hides(cls, base):
            raise self.refuse(value)
        held = None if base is object else self.told(_BASES[base](value))
        return ["object", told, self.told(state_of(value)), held]


def _qualified(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _number(value: float) -> list[str]:
    return [type(value).__name__, repr(value)]


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a name that is not yet bound
        return False


def _followed(path: tuple[str, ...], value: Any) -> tuple[tuple[str, ...], Any]:
    """Return what stands where the path leaves the user's modules."""
    for at, name in enumerate(path[1:], 1):
        mine = isinstance(value, types.ModuleType) and library(value.__name__) is None
        if not mine or name not in vars(value):
            return path[:at], value
        value = vars(value)[name]
    return path, value
