"""Values that Ollama reads otherwise than they look. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from aegis_llm.bootstrap import kv
from aegis_llm.bootstrap.linting.finding import Finding, found
from aegis_llm.bootstrap.variables import CATALOGUE, ENGINE, ONE_SLOT, Reading, Release, read
from aegis_llm.config.go_values import bare, go_bool, go_uint, seconds

_MEANT_OFF = ("off", "no", "n", "none", "disable", "disabled", "never", "-1", "00")
_MEANT_AUTO = ("auto", "automatic", "default")
_ON_CUDA = ("f32", "f16", "bf16", "q8_0", "q4_0")
_SHORT_STALL_S = 30.0


def about_value(name: str, text: str, version: Release | None) -> Iterator[Finding]:
    """Yield what is wrong with the value of a variable that this release reads."""
    variable = CATALOGUE.get(name)
    value = bare(text)
    if variable is None or not value:
        return
    reading = read(variable, text)
    if variable.kind == "switch" and not reading.readable:
        yield _switch(name, value)
    elif variable.kind == "number" and not reading.readable:
        yield _number(name, value, reading)
    elif variable.kind == "duration" and not reading.readable:
        what = f"{value!r} is no duration, so Ollama takes 5 minutes and does not say it"
        yield found("unparsable", name, value, "error", what, f"Write {_duration(value)}")
    elif variable.kind == "level" and not reading.readable:
        what = f"{value!r} is no level, so nothing more is logged"
        yield found("unparsable", name, value, "warning", what, "Write 1, or 2 for even more")
    elif variable.kind == "cache type":
        yield from _cache_type(name, value.lower(), version)
    else:
        yield from _odd(name, value, version)


def _switch(name: str, value: str) -> Finding:
    lowered = value.lower()
    what = f"{value!r} cannot be read as on or off, and what cannot be read is on"
    if lowered in _MEANT_OFF:
        return found("on-not-off", name, value, "error", what, f"Write {name}=0")
    if lowered in _MEANT_AUTO:
        do = "Leave it unset: then it is automatic"
        return found("on-not-auto", name, value, "error", what, do)
    return found("unparsable", name, value, "note", what, f"Write {name}=1")


def _number(name: str, value: str, reading: Reading) -> Finding:
    default = "the default" if reading.value == "0" else reading.value
    what = f"{value!r} is no whole number, so Ollama warns in its log and takes {default}"
    do = "Write digits only"
    if name == "OLLAMA_GPU_OVERHEAD":
        do += ", in bytes"
    return found("unparsable", name, value, "error", what, do)


def _duration(value: str) -> str:
    """Return how a length was likely meant."""
    number = value.lower().rstrip("abcdefghijklmnopqrstuvwxyz ").strip()
    unit = value.lower()[len(number) :].strip()
    whole = go_uint(number)
    if whole is None:
        return "a duration such as 30m, 1h30m or 90s; -1 is forever"
    if unit.startswith("d"):
        return f"{whole * 24}h"
    for letter in ("h", "m", "s"):
        if unit.startswith(letter) and not unit.startswith(("mo", "ms")):
            return f"{whole}{letter}"
    return "a duration such as 30m, 1h30m or 90s; -1 is forever"


def _cache_type(name: str, value: str, version: Release | None) -> Iterator[Finding]:
    old = version is not None and version < ENGINE
    if value not in kv.BYTES:
        then = "the cache stays at f16" if old else "no model loads"
        what = f"{value!r} is no type of the KV cache: {then}"
        do = "Write q8_0, or leave it unset for f16"
        yield found("cache-type", name, value, "warning" if old else "error", what, do)
    elif old and value not in ("f16", "q8_0", "q4_0"):
        what = f"Ollama before 0.30 knows f16, q8_0 and q4_0, not {value}"
        yield found("cache-type", name, value, "warning", what, "Write q8_0")
    elif value not in _ON_CUDA:
        what = f"The CUDA kernels that Ollama ships do not cover {value}; it is slow there"
        yield found("cache-type", name, value, "note", what, "Write q8_0 or q4_0 on NVIDIA GPUs")


def _odd(name: str, value: str, version: Release | None) -> Iterator[Finding]:
    """Yield values that can be read and yet are seldom meant."""
    number, length = go_uint(value), seconds(value)
    if name == "OLLAMA_MAX_QUEUE" and number == 0:
        what = "No request may wait for a load: all but one are refused with 503 meanwhile"
        yield found("no-queue", name, value, "warning", what, "Leave it unset: then it is 512")
    elif name == "OLLAMA_NUM_PARALLEL" and number == 0:
        old = version is not None and version < ONE_SLOT
        what = "0 is automatic: 4 slots or 1" if old else "0 means 1 slot, not automatic"
        yield found("no-slots", name, value, "note", what, "Write the number of slots")
    elif name == "OLLAMA_KEEP_ALIVE" and length == 0:
        what = "A model is unloaded when its answer ends, so every request loads it anew"
        yield found("no-keep-alive", name, value, "warning", what, "Write 30m; -1 is forever")
    elif name == "OLLAMA_LOAD_TIMEOUT" and length is not None:
        yield from _stall(name, value, length)
    elif name == "OLLAMA_FLASH_ATTENTION" and go_bool(value) is False:
        what = "Flash attention is off: more memory, smaller batches, no quantized KV cache"
        yield found("no-flash", name, value, "warning", what, "Leave it unset: then it is chosen")
    elif name == "OLLAMA_GPU_OVERHEAD" and (version is None or version >= ENGINE) and number:
        what = "From 0.30 on nothing is set aside for it; it only lowers the default context"
        do = f"Set LLAMA_ARG_FIT_TARGET={max(1, number >> 20)} (MiB) and take it away"
        yield found("no-overhead", name, value, "warning", what, do)
    elif name == "OLLAMA_HOST" and value.startswith("https://"):
        what = "Ollama itself speaks no TLS; the scheme only changes the default port"
        yield found("no-tls", name, value, "note", what, "Write HOST:PORT")


def _stall(name: str, value: str, length: float) -> Iterator[Finding]:
    if length <= 0:
        what = "A load that stalls never ends, and all who wait for a load wait with it"
        yield found("endless-load", name, value, "warning", what, "Leave it unset: then it is 5m")
    elif length < _SHORT_STALL_S:
        what = f"A load that is silent for {length:g} s is ended; from a slow disk that happens"
        yield found("short-load", name, value, "warning", what, "Leave it unset: then it is 5m")
