"""What classes and objects hold. Pure."""

from __future__ import annotations

import enum
import types
from typing import Any

_MACHINERY = frozenset(
    {
        "__module__", "__doc__", "__slots__", "__qualname__", "__firstlineno__", "__annotate__",
        "__annotate_func__", "__static_attributes__", "_abc_impl",
    }
)  # fmt: skip
_DUNDER_MEMBERS = (types.FunctionType, staticmethod, classmethod, property, str, int, float, tuple)
OF_AN_ENUM = frozenset(
    {
        "_generate_next_value_", "_new_member_", "_use_args_", "_member_names_", "_member_map_",
        "_value2member_map_", "_unhashable_values_", "_unhashable_values_map_",
        "_hashable_values_",
        "_member_type_", "_value_repr_", "_value_", "_name_", "_sort_order_", "__objclass__",
    }
)  # fmt: skip
_POINTER = tuple.__itemsize__


class _Bare:
    pass


def members_of(cls: type) -> dict[str, Any]:
    """Return what a class adds: all that is not Python's own."""
    told = {}
    for name, value in vars(cls).items():
        dunder = name.startswith("__") and name.endswith("__")
        if name not in _MACHINERY and (not dunder or _does(value)):
            told[name] = value
    if issubclass(cls, enum.Enum):
        told = {name: value for name, value in told.items() if name not in OF_AN_ENUM}
        told |= cls.__members__
    return told


def schema_of(cls: Any) -> dict[str, Any]:
    """Return what a pydantic class makes of its fields, beside its methods and JSON schema."""
    return {
        name: [
            field.annotation,
            field.default_factory,
            None if field.is_required() or field.default_factory is not None else field.default,
            [
                [type(one), vars(one)] if hasattr(one, "__dict__") else one
                for one in field.metadata
            ],
        ]
        for name, field in cls.model_fields.items()
    }


def state_of(value: Any) -> dict[str, Any]:
    """Return what an object holds under names, those of `__slots__` included."""
    held = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        for name, slot in vars(cls).items():
            if isinstance(slot, types.MemberDescriptorType):
                try:
                    held[f"{cls.__qualname__}.{name}"] = slot.__get__(value)
                except AttributeError:  # not set
                    continue
    return held


def hides(cls: type, base: type) -> bool:
    """Return whether an object holds more than `base`, its names and its slots."""
    slots = sum(
        isinstance(one, types.MemberDescriptorType)
        for each in cls.__mro__
        if "__slots__" in vars(each)
        for one in vars(each).values()
    )
    added = _Bare.__basicsize__ - object.__basicsize__ if base is object else 2 * _POINTER
    room = base.__basicsize__ + added + slots * _POINTER
    return cls.__itemsize__ != base.__itemsize__ or cls.__basicsize__ > room


def _does(value: Any) -> bool:
    callable_ = callable(value) and not isinstance(value, type)
    return callable_ or isinstance(value, _DUNDER_MEMBERS)
