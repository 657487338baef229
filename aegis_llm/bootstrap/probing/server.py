"""Asks an Ollama for its version and its models; a server that hangs or babbles costs seconds."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import httpx
import msgspec
import ollama

from aegis_llm.bootstrap.facts import Loaded, ModelFacts, Unknown
from aegis_llm.bootstrap.probing.describing import described, left_out, missing, whole
from aegis_llm.config import safe_url
from aegis_llm.errors import ConfigError
from aegis_llm.keys import normal_model

_TIMEOUT_S = 5.0
_LARGEST = 64 << 20


def login_of(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without user and password, and the header that tells them to a proxy.

    The client of the package `ollama` leaves them out.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return bare, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


class NoAnswerError(Exception):
    """The server gave nothing to use; the message is the reason.

    Attributes:
        again: Whether asking something else may still be answered.
    """

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


@dataclass
class Told:
    """What a server told.

    Attributes:
        running: Whether something that is an Ollama answered; None: nobody was asked.
    """

    running: bool | None = False
    version: str | None = None
    models: list[ModelFacts] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)


class Asking(AbstractContextManager["Asking"]):
    """Asks one server, through the client of the package `ollama`.

    Args:
        url: Its address.
        timeout_s: The longest that one answer may take, however slowly it trickles.

    Raises:
        ConfigError: The address is not usable.
    """

    def __init__(self, url: str, timeout_s: float = _TIMEOUT_S) -> None:
        self.shown = safe_url(url)
        self._timeout_s = timeout_s
        try:
            bare, headers = login_of(url)
            self._client = ollama.Client(host=bare, headers=headers, timeout=timeout_s)
        except (ValueError, httpx.InvalidURL):
            msg = f"the address {self.shown} is not usable; write for example http://gpu:11434"
            raise ConfigError(msg) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()  # type: ignore[no-untyped-call]  # ollama's, untyped

    def answer(self, path: str, body: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return the JSON object of an answer.

        The client's own methods drop the fields that its types do not know.

        Raises:
            NoAnswerError: There is no such answer.
        """
        method = "GET" if body is None else "POST"
        try:
            with self._client._client.stream(method, path, json=body) as reply:
                raw = self._read(reply)
                status = reply.status_code
        except httpx.TimeoutException:
            msg = f"{self.shown} did not answer {path} within {self._timeout_s:g} s"
            raise NoAnswerError(msg) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as exc:
            msg = f"no Ollama answers at {self.shown}: {str(exc) or type(exc).__name__}"
            raise NoAnswerError(msg) from None
        try:
            said = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            said = None
        if status >= 400:
            error = said.get("error") if isinstance(said, dict) else None
            msg = f"{self.shown} says {status} to {path}: {str(error or 'no reason')[:200]}"
            raise NoAnswerError(msg, again=True)
        if not isinstance(said, dict):
            msg = f"what {self.shown} answers to {path} is not Ollama's"
            raise NoAnswerError(msg, again=True)
        return said

    def _read(self, reply: httpx.Response) -> bytes:
        until = time.monotonic() + self._timeout_s
        raw = bytearray()
        for piece in reply.iter_bytes():
            raw += piece
            if time.monotonic() > until:
                msg = "too slow"
                raise httpx.ReadTimeout(msg)
            if len(raw) > _LARGEST:
                msg = f"its answer is longer than {_LARGEST >> 20} MiB"
                raise ValueError(msg)
        return bytes(raw)


def told_by(asking: Asking, names: Sequence[str] = ()) -> Told:
    """Return what the server says of itself and of some models; no names: of all it has."""
    told = Told()
    start = "start Ollama, give its address with --url, or give this in a fact file"
    try:
        version = asking.answer("/api/version").get("version")
    except NoAnswerError as exc:
        told.unknown += [
            Unknown(what="ollama.version", why=str(exc), give=start),
            Unknown(what="models", why=str(exc), give=start),
        ]
        return told
    if not isinstance(version, str) or not version:
        why = f"what {asking.shown} answers to /api/version is not Ollama's"
        told.unknown.append(Unknown(what="ollama.version", why=why, give=start))
    else:
        told.version = version[:100]
    told.running = told.version is not None
    try:
        tags = _listed(asking.answer("/api/tags"))
        _describe(asking, tags, names, told)
    except NoAnswerError as exc:
        told.unknown.append(Unknown(what="models", why=str(exc), give=start))
        return told
    try:
        loaded = [_loaded(entry) for entry in _listed(asking.answer("/api/ps"))]
        told.loaded = [one for one in loaded if one is not None]
    except NoAnswerError as exc:
        give = "try again when the server is not busy"
        told.unknown.append(Unknown(what="loaded", why=str(exc), give=give))
    return told


def _describe(
    asking: Asking, tags: list[Mapping[str, Any]], names: Sequence[str], told: Told
) -> None:
    """Ask for each model; after one that hangs the others are not asked for."""
    by_name = {normal_model(_name(tag)): tag for tag in tags if _name(tag)}
    local = [tag for tag in by_name.values() if not tag.get("remote_host")]
    wanted = local if not names else []
    for name in dict.fromkeys(names):
        if (tag := by_name.get(normal_model(name))) is not None:
            wanted.append(tag)
            continue
        give = f"ollama pull {name}, or give the model in a fact file"
        why = f"{asking.shown} has no model of that name"
        told.unknown.append(Unknown(what=f"models.{name}", why=why, give=give))
    hung = ""
    for tag in wanted:
        shown: Mapping[str, Any] = {}
        why = hung
        if not hung:
            try:
                shown = _shown(asking, _name(tag))
            except NoAnswerError as exc:
                why = str(exc)
                hung = "" if exc.again else f"not asked for, since {exc}"
        model = described(tag, shown)
        told.models.append(model)
        for one in missing(model):
            told.unknown.append(msgspec.structs.replace(one, why=why or one.why))


def _shown(asking: Asking, name: str) -> Mapping[str, Any]:
    shown = asking.answer("/api/show", {"model": name})
    if left_out(shown):
        return asking.answer("/api/show", {"model": name, "verbose": True})
    return shown


def _listed(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    models = answer.get("models")
    if models is not None and not isinstance(models, list):
        msg = "the server's list of models is none"
        raise NoAnswerError(msg, again=True)
    return [one for one in models or () if isinstance(one, dict)]


def _name(entry: Mapping[str, Any]) -> str:
    name = entry.get("name") or entry.get("model")
    return name if isinstance(name, str) else ""


def _loaded(entry: Mapping[str, Any]) -> Loaded | None:
    if not _name(entry):
        return None
    return Loaded(
        name=_name(entry),
        size=whole(entry.get("size")) or 0,
        size_vram=whole(entry.get("size_vram")) or 0,
        context=whole(entry.get("context_length")) or 0,
        expires_at=str(entry.get("expires_at") or ""),
    )
