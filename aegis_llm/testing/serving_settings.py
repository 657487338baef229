"""The settings of a served simulator: its environment, read by Ollama's own rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aegis_llm.config.go_values import bare, go_bool, go_uint, keep_alive, seconds, shown
from aegis_llm.testing.memory import CACHE_BYTES

_UINTS = {
    "OLLAMA_CONTEXT_LENGTH": 0,
    "OLLAMA_GPU_OVERHEAD": 0,
    "OLLAMA_MAX_LOADED_MODELS": 0,
    "OLLAMA_MAX_QUEUE": 512,
    "OLLAMA_NUM_PARALLEL": 1,
}
_BOOLS = ("OLLAMA_FLASH_ATTENTION", "OLLAMA_NOPRUNE", "OLLAMA_SCHED_SPREAD")
_TEXTS = ("LLAMA_ARG_FIT", "LLAMA_ARG_FIT_TARGET", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_LLM_LIBRARY")
_DEFAULT_CONTEXT, _DEFAULT_MODELS = 4096, 3
_NO_LOAD = "llama-server process has terminated: exit status 1"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a server does with its environment.

    Attributes:
        address: `HOST:PORT` to listen on.
        shown: What the log's line `server config` tells, by variable.
        bad: Variables whose values cannot be read, with the values.
    """

    address: tuple[str, int]
    num_parallel: int
    context_length: int
    max_loaded_models: int
    max_queue: int
    keep_alive: float
    kv_cache_type: str
    load_error: str
    shown: Mapping[str, str]
    bad: Mapping[str, str]

    @property
    def arguments(self) -> dict[str, Any]:
        """Return them as arguments of `OllamaSimulator`."""
        return {
            "num_parallel": self.num_parallel,
            "context_length": self.context_length,
            "max_loaded_models": self.max_loaded_models,
            "max_queue": self.max_queue,
            "keep_alive": self.keep_alive,
            "kv_cache_type": self.kv_cache_type,
            "load_error": self.load_error,
            "port": self.address[1],
        }


def settings_of(environment: Mapping[str, str]) -> Settings:
    """Return what Ollama makes of its environment; what it cannot read is at its default."""
    given = {name: bare(value) for name, value in environment.items()}
    bad: dict[str, str] = {}
    numbers = {name: _uint(name, given, default, bad) for name, default in _UINTS.items()}
    flash = given.get("OLLAMA_FLASH_ATTENTION", "")
    kind = given.get("OLLAMA_KV_CACHE_TYPE", "").lower()
    address = _address(given.get("OLLAMA_HOST", ""))
    stay = keep_alive(given.get("OLLAMA_KEEP_ALIVE", ""))
    stall = seconds(given.get("OLLAMA_LOAD_TIMEOUT", ""))
    told = {
        **{name: str(value) for name, value in numbers.items()},
        **{name: _told(given.get(name, "")) for name in _BOOLS},
        **{name: given.get(name, "") for name in _TEXTS},
        "OLLAMA_HOST": f"http://{address[0]}:{address[1]}",
        "OLLAMA_KEEP_ALIVE": shown(stay),
        "OLLAMA_LOAD_TIMEOUT": shown(
            300.0 if stall is None else stall if stall > 0 else float("inf")
        ),
    }
    return Settings(
        address=address,
        num_parallel=numbers["OLLAMA_NUM_PARALLEL"] or 1,
        context_length=numbers["OLLAMA_CONTEXT_LENGTH"] or _DEFAULT_CONTEXT,
        max_loaded_models=numbers["OLLAMA_MAX_LOADED_MODELS"] or _DEFAULT_MODELS,
        max_queue=numbers["OLLAMA_MAX_QUEUE"],
        keep_alive=stay,
        kv_cache_type=kind if kind in CACHE_BYTES else "f16",
        load_error=_load_error(kind, go_bool(flash) is False),
        shown=dict(sorted(told.items())),
        bad=bad,
    )


def _uint(name: str, given: Mapping[str, str], default: int, bad: dict[str, str]) -> int:
    text = given.get(name, "")
    if not text:
        return default
    number = go_uint(text)
    if number is None:
        bad[name] = text
        return default
    return number


def _told(text: str) -> str:
    """Return a switch as it is logged: what cannot be read is on."""
    return "false" if not text or go_bool(text) is False else "true"


def _load_error(kind: str, flash_off: bool) -> str:
    """Return why no model loads; empty: they do."""
    if kind and kind not in CACHE_BYTES:
        return f"{_NO_LOAD}: unsupported cache type: {kind}"
    if flash_off and kind not in ("", "f32", "f16", "bf16"):
        return f"{_NO_LOAD}: quantized V cache requires flash_attn to be enabled"
    return ""


def _address(text: str) -> tuple[str, int]:
    _, has_scheme, rest = text.partition("://")
    host, _, port = (rest if has_scheme else text).partition("/")[0].rpartition(":")
    if not host:
        host, port = port, ""
    return host or "127.0.0.1", int(port) if go_uint(port) is not None else 11434
