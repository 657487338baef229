"""What the answers of an Ollama tell a warm-up, and the sentences for what went wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aegis_llm.bootstrap.warming.effects import CallError
from aegis_llm.config import safe_url
from aegis_llm.keys import normal_model

_GIB = 1 << 30
_NS = 1e9


class Resident(msgspec.Struct, frozen=True):
    """A loaded model, as `/api/ps` tells it."""

    name: str
    size: int = 0
    size_vram: int = 0
    context_length: int = 0
    expires_at: str = ""


class _Residents(msgspec.Struct):
    models: list[Resident] = []


class _Named(msgspec.Struct):
    name: str


class _Tags(msgspec.Struct):
    models: list[_Named]


def named(model: str) -> str:
    """Return the name by which the server knows a model, whatever its case."""
    return normal_model(model).casefold()


def names(body: Mapping[str, Any] | None) -> frozenset[str] | None:
    """Return the models that `/api/tags` lists; None: it does not tell."""
    if body is None:
        return None
    try:
        return frozenset(named(one.name) for one in msgspec.convert(body, _Tags).models)
    except msgspec.ValidationError:
        return None


def loaded(body: Mapping[str, Any] | None) -> dict[str, Resident] | None:
    """Return the models that `/api/ps` lists; None: it does not tell."""
    if body is None:
        return None
    try:
        return {named(one.name): one for one in msgspec.convert(body, _Residents).models}
    except msgspec.ValidationError:
        return None


def seconds_of(body: Mapping[str, Any], part: str) -> float:
    """Return a duration of an answer; 0 where it tells none."""
    value = body.get(f"{part}_duration")
    return value / _NS if isinstance(value, int | float) else 0.0


def trained_context(body: Mapping[str, Any]) -> int | None:
    """Return the context that a model was trained for, from `/api/show`."""
    info = body.get("model_info")
    for name, value in info.items() if isinstance(info, Mapping) else ():
        if str(name).endswith(".context_length") and isinstance(value, int):
            return value
    return None


def unreachable(url: str, exc: CallError) -> str:
    """Return why a server cannot be warmed at all."""
    shown = safe_url(url)
    if exc.why == "down":
        return f"no Ollama answers at {shown}; start it (`ollama serve`), or give its URL"
    if exc.why == "timeout":
        return f"Ollama at {shown} takes connections and does not answer; restart it"
    return f"what answers at {shown} is no Ollama ({exc.text or exc.why}); give its URL"


def missing(model: str, url: str) -> str:
    """Return what to do about a model that the server does not have."""
    return f"{model} is missing at {safe_url(url)}; `ollama pull {model}`"


def not_loaded(model: str, url: str, exc: CallError) -> str:
    """Return why a model could not be loaded."""
    where = f"{model} at {safe_url(url)}"
    if exc.why == "timeout":
        return (
            f"{where} was not loaded in time, and Ollama ends a load whose client goes away; give"
            " more as timeout_s"
        )
    if exc.why == "down":
        return f"the connection was lost while {where} was loaded; see the log of the server"
    if exc.why == "refused" and exc.status == 404:
        return missing(model, url)
    return f"{where} was not loaded: {said(exc)}"


def not_filled(place: int, model: str, exc: CallError) -> str:
    """Return why a prefix could not be read."""
    if "exceeds the available context size" in exc.text:
        return (
            f"prefix {place} is too long for {model}: {said(exc)}; shorten it, or raise num_ctx"
            " (OLLAMA_CONTEXT_LENGTH)"
        )
    if exc.why == "timeout":
        return f"prefix {place} was not read by {model} in time; give more as timeout_s"
    return f"prefix {place} was not read by {model}: {said(exc)}"


def said(exc: CallError) -> str:
    """Return the words of an error; those of the model's own process stand in another error."""
    text = exc.text or exc.why
    try:
        inner = msgspec.json.decode(text)
        text = str(inner["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        pass
    return f"Ollama says: {text}" if exc.why == "refused" else text


def agreed(own: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return a note where a model is loaded with the runner options of others."""
    changed = [name for name in {**own, **options} if own.get(name) != options.get(name)]
    if not changed:
        return ""
    shown = ", ".join(f"{n}={options.get(n)!r} in place of {own.get(n)!r}" for n in changed)
    return f"loaded with {shown}, as others in this process ask it"


def loads_again(model: str, url: str, seconds: float) -> str:
    """Return what to look for when a model does not stay as it was loaded."""
    return (
        f"a request right after the warm-up loaded {model} at {safe_url(url)} again"
        f" ({seconds:.1f} s): other clients ask it with other runner options, or the models do"
        " not fit together (OLLAMA_MAX_LOADED_MODELS)"
    )


def pushed_out(model: str, url: str) -> str:
    """Return what to do about a model that is gone when all are loaded."""
    return (
        f"{model} at {safe_url(url)} is not loaded any more: the models do not fit together"
        " (OLLAMA_MAX_LOADED_MODELS, memory), or another client unloaded it"
    )


def placed(one: Resident) -> tuple[str, str]:
    """Return a note and a problem about where a model computes."""
    if not one.size or one.size_vram >= one.size:
        return "", ""
    if not one.size_vram:
        return "it computes on the CPU", ""
    share = one.size_vram / one.size
    return "", (
        f"only {share:.0%} of the {one.size / _GIB:.1f} GiB of {one.name} are on the GPU, which"
        " slows it down; give it fewer slots, a smaller context or a smaller quantization"
        " (`aegis-llm tune`)"
    )
