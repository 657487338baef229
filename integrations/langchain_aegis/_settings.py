"""Settings of the cache beside those of a LangChain class: which there are, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from aegis_llm import config
from aegis_llm.errors import ConfigError


def refuse_unknown(fields: Mapping[str, Any], given: Any, ignored: Iterable[str] = ()) -> None:
    """Raise `ConfigError` for what is no field, no alias of one and not ignored either."""
    if not isinstance(given, Mapping):
        return
    aliases = {field.alias for field in fields.values() if field.alias}
    config.refuse_unknown(given, frozenset(fields) | aliases | frozenset(ignored))


def reraise_ours(error: ValidationError) -> None:
    """Raise the `ConfigError` that pydantic wrapped, if there is one."""
    for one in error.errors(include_input=False):
        if isinstance(cause := one.get("ctx", {}).get("error"), ConfigError):
            raise cause from None
