"""Settings of the cache beside those of a LlamaIndex class: what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aegis_llm.config import AegisConfig
from aegis_llm.errors import ConfigError


def config_of(model: Any, names: Iterable[str]) -> AegisConfig:
    """Return the settings of a model: `aegis`, over which its fields of these names win."""
    config = model.aegis if model.aegis is not None else AegisConfig()
    if not isinstance(config, AegisConfig):
        msg = f"aegis={config!r}: give an AegisConfig"
        raise ConfigError(msg)
    given = {name: getattr(model, name) for name in names}
    return config.with_options(**{k: v for k, v in given.items() if v is not None})
