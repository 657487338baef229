"""Reads a fact file: what is known of a machine that is not this one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from aegis_llm.bootstrap import facts as values
from aegis_llm.bootstrap.facts import Facts, Unknown
from aegis_llm.errors import ConfigError

_LARGEST = 16 << 20
_STRUCTS = (
    values.Facts,
    values.Cpu,
    values.Memory,
    values.Gpu,
    values.Ollama,
    values.ModelFacts,
    values.Loaded,
    values.Unknown,
)
_NAMES = sorted({name for struct in _STRUCTS for name in struct.__struct_fields__})


def read_facts(path: Path) -> Facts:
    """Return the facts in a JSON file, as `aegis-llm probe --json` prints them.

    What the file gives is no longer listed as unknown.

    Raises:
        ConfigError: It cannot be read, is no JSON, a field is misspelt, or facts exclude others.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as exc:
        msg = f"the fact file {path} cannot be read: {exc.strerror or exc}"
        raise ConfigError(msg) from None
    if len(raw) > _LARGEST:
        msg = f"{path} is too large for a fact file; see `aegis-llm probe --json` for one"
        raise ConfigError(msg)
    try:
        facts = msgspec.json.decode(raw, type=Facts)
    except msgspec.ValidationError as exc:
        msg = f"{path} is no usable fact file: {_sentence(str(exc))}"
        raise ConfigError(msg) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        msg = f"{path} is no JSON: {exc}; `aegis-llm probe --json` prints a fact file"
        raise ConfigError(msg) from None
    for problem in impossible(facts):
        msg = f"{path} is no usable fact file: {problem}"
        raise ConfigError(msg)
    source = facts.source if facts.source != "this machine" else str(path)
    left = tuple(one for one in facts.unknown if not is_given(facts, one))
    return msgspec.structs.replace(facts, source=source, unknown=left)


def impossible(facts: Facts) -> Iterator[str]:
    """Yield a sentence for each two facts that cannot both be true."""
    cpu, memory = facts.cpu, facts.memory
    pairs: list[tuple[str, int | None, str, int | None]] = [
        ("cpu.physical_cores", cpu.physical_cores, "cpu.logical_cores", cpu.logical_cores),
        ("cpu.fast_cores", cpu.fast_cores, "cpu.physical_cores", cpu.physical_cores),
        ("memory.available", memory.available, "memory.total", memory.total),
    ]
    for index, gpu in enumerate(facts.gpus or ()):
        pairs.append((f"gpus.{index}.free", gpu.free, f"gpus.{index}.memory", gpu.memory))
    for one in facts.models:
        at = f"models.{one.name}"
        pairs.append((f"{at}.experts_used", one.experts_used, f"{at}.experts", one.experts))
        if one.kv_heads and one.layers and len(one.kv_heads) not in (1, one.layers):
            yield f"{at}.kv_heads has {len(one.kv_heads)} numbers for {one.layers} layers"
    for small, less, large, more in pairs:
        if less is not None and more is not None and less > more:
            yield f"{small} is {less}, which is more than {large}, {more}"
    if memory.total == 0:
        yield "memory.total is 0; leave it out when it is not known"
    names = [one.name for one in facts.models]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"the model {name} is there twice"


def is_given(facts: Facts, unknown: Unknown) -> bool:
    """Return whether the facts hold a value for what is said to be unknown."""
    at: Any = facts
    path = unknown.what
    while path:
        if isinstance(at, tuple):
            at, path = _of_list(at, path)
        else:
            name, _, path = path.partition(".")
            at = getattr(at, name, None)
        if at is None:
            return False
    return bool(at) if isinstance(at, tuple) else True


def _of_list(listed: tuple[Any, ...], path: str) -> tuple[Any, str]:
    """Return the part with the number or name that `path` starts with, and the rest of it."""
    for index, one in enumerate(listed):
        for name in (str(index), getattr(one, "name", "")):
            if path == name or (name and path.startswith(f"{name}.")):
                return one, path[len(name) + 1 :]
    return None, ""


def _sentence(said: str) -> str:
    """Return msgspec's message in a person's words, with the nearest field of that name."""
    what, _, place = said.partition(" - at ")
    where = place.strip("`").removeprefix("$").lstrip(".") or "the top"
    misspelt = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if misspelt is None:
        return f"{what[:1].lower()}{what[1:]} at {where}"
    near = get_close_matches(misspelt[1], _NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"there is no field {misspelt[1]!r} at {where}{hint}"
