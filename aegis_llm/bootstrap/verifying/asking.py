"""Asks a server what it is and what it has loaded; it does no work for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aegis_llm.bootstrap.facts import Loaded
from aegis_llm.bootstrap.probing.server import Asking, NoAnswerError
from aegis_llm.config import safe_url
from aegis_llm.errors import ConfigError

_TIMEOUT_S = 5.0


class SilentError(Exception):
    """A server gave nothing to use; the message is the reason."""


def version_of(url: str) -> str:
    """Return what `/api/version` says.

    Raises:
        SilentError: No Ollama answers there.
    """
    version = _json(url, "/api/version").get("version")
    if not isinstance(version, str) or not version:
        msg = f"what {safe_url(url)} answers to /api/version is not Ollama's"
        raise SilentError(msg)
    return version[:100]


def loaded_at(url: str) -> tuple[Loaded, ...]:
    """Return what `/api/ps` says.

    Raises:
        SilentError: No Ollama answers there.
    """
    listed = _json(url, "/api/ps").get("models")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return tuple(_loaded(one) for one in entries)


def _loaded(entry: Mapping[str, Any]) -> Loaded:
    return Loaded(
        name=str(entry.get("name") or entry.get("model") or ""),
        size=_whole(entry.get("size")),
        size_vram=_whole(entry.get("size_vram")),
        context=_whole(entry.get("context_length")),
        expires_at=str(entry.get("expires_at") or ""),
    )


def _whole(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    return value if whole and isinstance(value, int) else 0


def _json(url: str, path: str) -> Mapping[str, Any]:
    try:
        with Asking(url, _TIMEOUT_S) as asking:
            return asking.answer(path)
    except (NoAnswerError, ConfigError) as exc:
        raise SilentError(str(exc)) from None
