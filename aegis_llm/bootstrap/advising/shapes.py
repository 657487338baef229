"""Which models are meant, and what is known of each. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from aegis_llm.bootstrap.advice import Workload
from aegis_llm.bootstrap.advising.checking import check_model
from aegis_llm.bootstrap.advising.shipped import shapes
from aegis_llm.bootstrap.advising.words import gib, listed
from aegis_llm.bootstrap.facts import Facts, ModelFacts, Unknown
from aegis_llm.bootstrap.kv import is_known
from aegis_llm.errors import ConfigError

_FEW = 3
_STAND_IN = "llama3.1:8b"
_LARGE, _LARGE_STAND_IN = 30e9, "llama3.1:70b"
_PARAMETERS = re.compile(r"(?<![a-z0-9.])(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)b(?![a-z0-9])")
_SHAPE = (
    "layers", "heads", "kv_heads", "key_length", "value_length", "embedding_length", "latent",
    "sliding_window", "global_every", "windowed", "window_key_length", "window_value_length",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The models to plan for; of each at least its size and its cache are told or assumed."""

    models: tuple[ModelFacts, ...]
    assumed: list[str] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)


def wanted(facts: Facts, workload: Workload) -> Wanted:
    """Return the models of a workload, in its order.

    Raises:
        ConfigError: No model is named and none is on the server, or one of them cannot be.
    """
    found = Wanted(models=())
    names = _named(facts, workload, found)
    chosen: list[ModelFacts] = []
    for name in names:
        if _full(name) not in [_full(one.name) for one in chosen]:
            chosen.append(_model(facts, name, found))
            check_model(chosen[-1])
    return replace(found, models=tuple(chosen))


def known_shape(name: str) -> ModelFacts | None:
    """Return what comes with the package about a model; None: nothing does.

    A tag such as `llama3.1:8b-instruct-q8_0` has the shape of `llama3.1:8b`, and the size that
    its quantization makes of its parameters.
    """
    data = shapes()
    by_name = {one.name: one for one in data.models}
    short = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    short = data.also.get(short, short).removesuffix(":latest")
    if short in by_name:
        return msgspec.structs.replace(by_name[short], name=name)
    family, _, tag = short.partition(":")
    base = by_name.get(f"{family}:{tag.partition('-')[0]}")
    bits = next((b for q, b in data.bits.items() if tag.lower().endswith(f"-{q}")), None)
    if base is None or bits is None or base.parameters is None or base.model_format != "gguf":
        return None
    return msgspec.structs.replace(
        base, name=name, size=int(base.parameters * bits / 8), quantization=tag.rpartition("-")[2]
    )


def _named(facts: Facts, workload: Workload, found: Wanted) -> Sequence[str]:
    if workload.models:
        return workload.models
    names = [one.name for one in facts.loaded if _installed(facts, one.name)]
    if names:
        found.assumed.append(f"the models that are loaded now are meant: {listed(names)}")
        return names
    if not facts.models:
        msg = "no model is named, and none was found on a server; name them: --models llama3.1:8b"
        raise ConfigError(msg)
    if len(facts.models) <= _FEW:
        ordered = sorted(facts.models, key=lambda one: one.embeds)
        return [one.name for one in ordered]
    largest = []
    for embeds in (False, True):
        alike = [one for one in facts.models if one.embeds is embeds]
        largest += [max(alike, key=lambda one: one.size or 0).name] if alike else []
    found.assumed.append(
        f"of the {len(facts.models)} models on the server the largest are meant: "
        f"{listed(largest)}; name others with --models"
    )
    return largest


def _model(facts: Facts, name: str, found: Wanted) -> ModelFacts:
    """Return a model with what is missing filled from the known ones, which is said."""
    here, known = _installed(facts, name), known_shape(name)
    if here is not None and here.size is not None and is_known(here):
        return here
    field_of = f"models.{name}"
    if here is None:
        why = "it is not on the server"
        if known is not None:
            found.assumed.append(f"{name} is not installed; counted with the figures known of it")
            return known
    else:
        why = "the server does not describe it fully"
    give = f"ollama pull {name}, or its figures in --host-facts"
    found.unknown.append(Unknown(what=field_of, why=why, give=give))
    told = _told_by_name(name)
    stand_in = known or known_shape(_STAND_IN if told < _LARGE else _LARGE_STAND_IN)
    assert stand_in is not None  # noqa: S101 - it comes with the package, a test reads it
    if here is None:
        other = stand_in.name
        stand_in = msgspec.structs.replace(stand_in, name=name, architecture=None, parameters=None)
        if not told:
            found.assumed.append(f"{name} is not known; it is counted as if it were {other}")
            return stand_in
        size = int(told * shapes().bits["q4_k_m"] / 8)
        found.assumed.append(
            f"{name} is not known; by its name it has {told / 1e9:g} billion parameters, "
            f"{gib(size)} in Q4_K_M, and its KV cache is counted as that of {other}"
        )
        return msgspec.structs.replace(stand_in, size=size)
    return _filled(here, stand_in, found)


def _told_by_name(name: str) -> float:
    """Return the parameters that a name tells, `:70b` or `8x7b`; 0: it tells none."""
    found = _PARAMETERS.search(name.lower())
    return float(found[1] or 1) * float(found[2]) * 1e9 if found else 0.0


def _filled(here: ModelFacts, stand_in: ModelFacts, found: Wanted) -> ModelFacts:
    other = stand_in.name if stand_in.name != here.name else "what is known of that name"
    if here.size is None:
        found.assumed.append(f"the size of {here.name} is that of {other}")
        here = msgspec.structs.replace(here, size=stand_in.size)
    if is_known(here):
        return here
    found.assumed.append(f"the KV cache of {here.name} is that of {other}")
    return msgspec.structs.replace(here, **{name: getattr(stand_in, name) for name in _SHAPE})


def _full(name: str) -> str:
    short = name.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


def _installed(facts: Facts, name: str) -> ModelFacts | None:
    return next((one for one in facts.models if _full(one.name) == _full(name)), None)
