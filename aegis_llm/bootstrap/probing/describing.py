"""Makes facts of what Ollama says about a model. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aegis_llm.bootstrap.facts import MOST_LAYERS, ModelFacts, Unknown
from aegis_llm.bootstrap.kv import is_known
from aegis_llm.bootstrap.probing.states import (
    NO_ATTENTION,
    RECURRENT,
    recurrent_layers,
    state_of_layer,
)
from aegis_llm.bootstrap.probing.windows import windows_of

_MOST = 1 << 31
_LARGEST = 1 << 62
_LISTED = ("attention.head_count_kv", "attention.sliding_window_pattern", "feed_forward_length",
           "attention.head_count", "attention.recurrent_layers")  # fmt: skip
_GEMMA3N_OWN = 20


def left_out(shown: Mapping[str, Any]) -> bool:
    """Return whether Ollama left out a list of numbers that is needed; `verbose` brings it."""
    info = _mapping(shown.get("model_info"))
    architecture = str(info.get("general.architecture"))
    names = (f"{architecture}.{name}" for name in _LISTED)
    return any(name in info and info[name] in (None, []) for name in names)


def described(tag: Mapping[str, Any], shown: Mapping[str, Any]) -> ModelFacts:
    """Return the facts of a model.

    Args:
        tag: Its entry in `/api/tags`.
        shown: The answer of `/api/show`; empty: there was none.
    """
    info = _Info(_mapping(shown.get("model_info")))
    details = _mapping(shown.get("details")) or _mapping(tag.get("details"))
    told = shown.get("capabilities") or tag.get("capabilities")
    capabilities = [str(one) for one in told] if isinstance(told, list) else []
    architecture = info.architecture or _text(details.get("family"))
    attention = _Attention(info, architecture or "")
    families = details.get("families")
    return ModelFacts(
        name=str(tag.get("name") or tag.get("model") or ""),
        digest=_text(tag.get("digest")) or "",
        size=whole(tag.get("size")),
        model_format=_text(details.get("format")) or "gguf",
        architecture=architecture,
        quantization=_text(details.get("quantization_level")),
        parameters=whole(info.raw("general.parameter_count")) or None,
        layers=attention.layers,
        heads=attention.heads,
        kv_heads=attention.kept,
        key_length=info.count("attention.key_length"),
        value_length=info.count("attention.value_length"),
        embedding_length=info.count("embedding_length"),
        trained_context=info.count("context_length") or count(details.get("context_length")),
        sliding_window=attention.windows.window,
        global_every=attention.windows.every,
        windowed=attention.windows.which,
        window_key_length=info.count("attention.key_length_swa"),
        window_value_length=info.count("attention.value_length_swa"),
        latent=attention.latent,
        rope_dimensions=info.count("rope.dimension_count"),
        state_bytes=attention.state,
        recurrent=(architecture or "") in RECURRENT,
        embeds=_embeds(capabilities, info),
        vision="vision" in capabilities
        or bool(shown.get("projector_info"))
        or (isinstance(families, list) and bool({"clip", "mllama"} & {str(f) for f in families})),
        experts=info.count("expert_count"),
        experts_used=info.count("expert_used_count"),
        options=parameters_of(shown.get("parameters")),
    )


def missing(model: ModelFacts) -> Iterator[Unknown]:
    """Yield what advice needs of a model and Ollama did not say."""
    at = f"models.{model.name}"
    give = f"give {at} in a fact file, or pull the model anew: ollama pull {model.name}"
    why = "Ollama's /api/show says nothing of it"
    if model.model_format != "gguf":
        why = f"/api/show says little of models in {model.model_format}"
    if model.size is None:
        yield Unknown(what=f"{at}.size", why="/api/tags says nothing usable of it", give=give)
    if model.layers is None:
        yield Unknown(what=f"{at}.layers", why=why, give=give)
    elif not model.embeds and not is_known(model):
        yield Unknown(what=f"{at}.kv_heads", why=why, give=give)
    if model.recurrent and model.state_bytes is None:
        yield Unknown(what=f"{at}.state_bytes", why=why, give=give)
    if model.trained_context is None:
        yield Unknown(what=f"{at}.trained_context", why=why, give=give)


def parameters_of(text: Any) -> dict[str, Any]:
    """Return the options in the `parameters` of `/api/show`; those given twice are lists."""
    found: dict[str, Any] = {}
    for line in text.splitlines() if isinstance(text, str) else ():
        name, _, rest = line.strip().partition(" ")
        if not name or not rest.strip():
            continue
        value = _value(rest.strip())
        if name in found or name == "stop":
            found[name] = [*found.get(name, []), value] if name == "stop" else value
        else:
            found[name] = value
    return found


def whole(value: Any) -> int | None:
    """Return a whole number from 0 on, however JSON wrote it; None: it is none, or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not value.is_integer():
        return None
    return int(value) if 0 <= value < _LARGEST else None


def count(value: Any) -> int | None:
    """Return a number of things from 1 on."""
    number = whole(value)
    return number if number and number < _MOST else None


class _Info:
    """`model_info`, by the names behind the architecture."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info = info
        self.architecture = _text(info.get("general.architecture"))

    def raw(self, name: str) -> Any:
        return self._info.get(name)

    def of(self, name: str) -> Any:
        return self._info.get(f"{self.architecture}.{name}")

    def has(self, name: str) -> bool:
        return f"{self.architecture}.{name}" in self._info

    def count(self, name: str) -> int | None:
        return count(self.of(name))

    def each(self, name: str) -> tuple[int, ...] | None:
        """Return the numbers of a list, or one number alone; None: not usable."""
        value = self.of(name)
        numbers = [whole(one) for one in (value if isinstance(value, list) else [value])]
        if not numbers or any(one is None or one >= _MOST for one in numbers):
            return None
        return tuple(one for one in numbers if one is not None)

    def flags(self, name: str) -> tuple[bool, ...] | None:
        value = self.of(name)
        if not isinstance(value, list) or not value:
            return None
        return tuple(bool(one) for one in value)


class _Attention:
    """What the layers of a model keep."""

    def __init__(self, info: _Info, architecture: str) -> None:
        layers = info.count("block_count")
        self.layers = layers if layers is not None and layers <= MOST_LAYERS else None
        every = info.each("attention.head_count")
        self.heads = next((one for one in every or () if one), None)
        self.latent = None
        if info.count("attention.key_length_mla") and info.count("attention.value_length_mla"):
            # Without both, llama.cpp keeps whole keys and values: files from before April 2025.
            self.latent = info.count("attention.kv_lora_rank")
        given = info.each("attention.head_count_kv")
        if not info.has("attention.head_count_kv"):
            given = every  # as many as there are heads; a list that was left out tells nothing
        self.kept: tuple[int, ...] | None = given
        self.state: int | None = None
        pattern: int | Sequence[bool] | None = info.flags("attention.sliding_window_pattern")
        if pattern is None:
            pattern = whole(info.of("attention.sliding_window_pattern"))
        named = whole(info.of("attention.sliding_window"))
        self.windows = windows_of(architecture, self.layers or 0, named, pattern)
        if self.layers is not None and architecture in NO_ATTENTION:
            given = (0,) * self.layers
        if self.layers is not None and given:
            self._keep(info, architecture, self.layers, given)

    def _keep(self, info: _Info, architecture: str, layers: int, given: tuple[int, ...]) -> None:
        """Set to 0 the heads of layers that keep no keys: recurrent, shared and for drafting."""
        if len(given) not in (1, layers):
            self.kept = None
            return
        heads = list(given * layers if len(given) == 1 else given)
        recurrent = recurrent_layers(
            architecture,
            heads,
            info.each("feed_forward_length") or (),
            info.flags("attention.recurrent_layers"),
            info.count("full_attention_interval"),
        )
        both = architecture == "falcon-h1"
        own = layers - (info.count("nextn_predict_layers") or 0)
        if architecture == "gemma3n":
            own = min(own, _GEMMA3N_OWN)  # fixed in llama.cpp, whatever the file says
        else:
            own -= info.count("attention.shared_kv_layers") or 0
        for layer in range(layers):
            if layer >= own or (recurrent[layer] and not both):
                heads[layer] = 0
        self.kept = (heads[0],) if len(set(heads)) == 1 else tuple(heads)
        if any(recurrent):
            one = state_of_layer(info.count, info.count("embedding_length"), self.heads)
            self.state = None if one is None else one * sum(recurrent[: max(own, 0)])


def _embeds(capabilities: Sequence[str], info: _Info) -> bool:
    if capabilities:
        return "embedding" in capabilities and "completion" not in capabilities
    return info.of("pooling_type") is not None


def _value(text: str) -> Any:
    """Return a value as Go's `%#v` wrote it."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip('"`')
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return int(value) if "e" in text or "E" in text else value
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
