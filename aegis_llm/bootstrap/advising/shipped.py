"""The facts that come with the package: machines by name, and models that are not installed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec

from aegis_llm.bootstrap.facts import Facts, ModelFacts
from aegis_llm.errors import ConfigError

PROFILES = (
    "dgx-spark", "rtx-4060-8gb", "rtx-3090", "rtx-4090", "two-3090", "a100-80gb", "h100-80gb",
    "m-series-16gb", "m3-max-64gb", "cpu-2", "cpu-16",
)  # fmt: skip
"""Machines for which there are facts."""
_HERE = "aegis_llm.bootstrap.advising"


class Shapes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What models.json holds.

    Attributes:
        source: Where the figures are from.
        models: Models as their default tags are.
        also: Other names of the same.
        bits: Bits of a weight, by the quantization that a tag ends with.
    """

    source: str
    models: tuple[ModelFacts, ...]
    also: dict[str, str]
    bits: dict[str, float]


def profile(name: str) -> Facts:
    """Return the facts of a machine by its name.

    Raises:
        ConfigError: There is none of that name; the message lists those there are.
    """
    if name not in PROFILES:
        msg = f"no profile {name!r} is known; give one of {', '.join(PROFILES)}, or a fact file"
        raise ConfigError(msg)
    return msgspec.json.decode(_bytes(f"profiles/{name}.json"), type=Facts)


@cache
def shapes() -> Shapes:
    """Return the models that are known without being installed."""
    return msgspec.json.decode(_bytes("models.json"), type=Shapes)


def _bytes(name: str) -> bytes:
    return files(_HERE).joinpath(name).read_bytes()
