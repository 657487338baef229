"""The models of a simulated server, and how `/api/tags` and `/api/ps` show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Self

from aegis_llm.testing.wire import Json

_NAME = re.compile(
    r"(?:(?:(?P<host>[\w.\-]+(?::\d+)?)/)?(?P<namespace>[\w\-]+)/)?"
    r"(?P<model>[\w][\w.\-]*)(?::(?P<tag>[\w][\w.\-]*))?",
    re.ASCII,
)
_MARKS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("embedding", ("minilm", "embed", "bge", "-e5"), "bert"),
    ("thinking", ("qwen3", "deepseek-r1", "magistral", "thinking"), "qwen3"),
    ("vision", ("llava", "vision", "gemma3", "-vl"), "gemma3"),
)


@dataclass(frozen=True, kw_only=True)
class SimulatedModel:
    """A model that the simulator offers.

    Attributes:
        capabilities: Of `completion`, `tools`, `insert`, `vision`, `thinking`, `embedding`.
        family: Architecture, as in `details.family`.
        parameter_size: As in `details.parameter_size`.
        quantization: As in `details.quantization_level`.
        size: Bytes on disk.
        context_length: Tokens the model was trained for.
        embedding_length: Width of the hidden state, and length of an embedding.
        system: System text of the Modelfile, used when a request brings none.
        template: Prompt template of the Modelfile, only shown.
        options: Options of the Modelfile (`num_ctx`, `stop`, ...).
        info: Of `model_info` in `/api/show`, by whole names: stands beside what is invented, or
            for it; a value of None takes it away.
        show_extra: Further fields of that answer, `projector_info`.
        remote_host: Where a model of the cloud is; empty: it is here.
        version: Changes the digest, as a new pull does.
    """

    capabilities: tuple[str, ...] = ("completion", "tools")
    family: str = "llama"
    parameter_size: str = "8.0B"
    quantization: str = "Q4_K_M"
    size: int = 4_920_753_328
    context_length: int = 131_072
    embedding_length: int = 4096
    system: str = ""
    template: str = "{{ .Prompt }}"
    options: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    show_extra: Mapping[str, Any] = field(default_factory=dict)
    remote_host: str = ""
    version: int = 1

    @classmethod
    def guess(cls, name: str) -> Self:
        """Return a model whose abilities follow from `name` (all-minilm embeds, qwen3 thinks)."""
        lowered = name.lower()
        for capability, marks, family in _MARKS:
            if not any(mark in lowered for mark in marks):
                continue
            if capability == "embedding":
                return cls(
                    capabilities=("embedding",),
                    family=family,
                    parameter_size="23M",
                    quantization="F16",
                    size=45_949_216,
                    context_length=512,
                    embedding_length=384,
                )
            return cls(capabilities=("completion", "tools", capability), family=family)
        return cls()

    def can(self, capability: str) -> bool:
        """Return whether the model has the capability."""
        return capability in self.capabilities

    def repulled(self) -> Self:
        """Return the model as a newer pull of the same tag: only the digest differs."""
        return replace(self, version=self.version + 1)

    def digest(self, name: str) -> str:
        """Return the hexadecimal digest of the model under `name`."""
        return sha256(repr((name, self.version, self.parameter_size)).encode()).hexdigest()


def canonical(name: str) -> str | None:
    """Return the name as Ollama stores it (with a tag), or None when it cannot be a name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    host, namespace, model, tag = match.groups()
    parts = [part for part in (host, namespace) if part]
    if parts in (["registry.ollama.ai", "library"], ["library"]):
        parts = []
    return "/".join([*parts, f"{model}:{tag or 'latest'}"])


def find(name: str, known: Iterable[str]) -> str | None:
    """Return the stored name that `name` means, whatever its case; None: not a model name."""
    wanted = canonical(name)
    if wanted is None:
        return None
    lowered = wanted.lower()
    return next((one for one in known if one.lower() == lowered), wanted)


def registry_name(name: str) -> str:
    """Return the canonical `name` with host and namespace, as some errors show it."""
    parts = name.split("/")
    return "/".join([*("registry.ollama.ai", "library")[: 3 - len(parts)], *parts])


def catalogue(
    models: Mapping[str, SimulatedModel] | Iterable[str],
) -> dict[str, SimulatedModel]:
    """Return the models by canonical name; plain names are guessed.

    Raises:
        ValueError: A name cannot be a model name.
    """
    given = models if isinstance(models, Mapping) else {n: SimulatedModel.guess(n) for n in models}
    found: dict[str, SimulatedModel] = {}
    for name, model in given.items():
        known = canonical(name)
        if known is None:
            msg = f"not a model name: {name!r}"
            raise ValueError(msg)
        found[known] = model
    return found


def details(model: SimulatedModel) -> Json:
    """Return the `details` object that tags, ps and show share."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def tag_entry(name: str, model: SimulatedModel, modified_at: str) -> Json:
    """Return one entry of `/api/tags`."""
    return {
        "name": name,
        "model": name,
        "modified_at": modified_at,
        "size": model.size,
        "digest": model.digest(name),
        "details": details(model),
        "capabilities": list(model.capabilities),
        **({"remote_host": model.remote_host} if model.remote_host else {}),
    }
