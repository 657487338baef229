"""The identity of any LangChain model, from its own fields."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, SecretStr

from aegis_llm.naming import name_of

NOT_IDENTITY = frozenset(
    {
        "cache", "verbose", "callbacks", "tags", "metadata", "rate_limiter", "name", "keep_alive",
        "client", "async_client", "root_client", "root_async_client", "client_kwargs",
        "sync_client_kwargs", "async_client_kwargs", "http_client", "http_async_client",
        "default_headers", "max_retries", "request_timeout", "timeout", "profile",
        "validate_model_on_init", "custom_get_token_ids", "disable_streaming", "streaming",
    }
)  # fmt: skip


M = TypeVar("M")


def identified(llm: M, cache: Any) -> M:
    """Return a copy of the model that uses `cache` and states its identity to it.

    The copy's class is a subclass that adds the fields to `_identifying_params`, so a model made
    from it with other settings (`configurable_fields`) states those.

    Raises:
        TypeError: It is no LangChain model with fields.
    """
    if not isinstance(llm, BaseModel) or "cache" not in type(llm).model_fields:
        msg = f"bind() takes a LangChain model, not {type(llm).__name__}"
        raise TypeError(msg)
    copy = llm.model_copy(update={"cache": cache})
    copy.__class__ = _identified_class(type(llm))
    return copy


@lru_cache(maxsize=128)
def _identified_class(cls: type[Any]) -> type[Any]:
    def identifying(self: Any) -> dict[str, Any]:
        told = cls._identifying_params.fget(self)
        return {**told, **_fields(self)}

    return type(cls.__name__, (cls,), {"_identifying_params": property(identifying)})


def _fields(llm: BaseModel) -> dict[str, Any]:
    cls = type(llm).__mro__[1]
    fields: dict[str, Any] = {"class": f"{cls.__module__}.{cls.__qualname__}"}
    for name in sorted(cls.model_fields):  # type: ignore[attr-defined]
        value = getattr(llm, name)
        if name in NOT_IDENTITY or value is None or isinstance(value, SecretStr):
            continue
        try:
            fields[name] = msgspec.json.encode(value, order="sorted").decode()
        except (TypeError, msgspec.MsgspecError, UnicodeError):
            fields[name] = name_of(value)
    named = getattr(llm, "model", None) or getattr(llm, "model_name", None)
    fields["model"] = str(named or fields["class"])
    return fields
