"""Sends one chat to an Ollama and notes when what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import httpx
import msgspec

from aegis_llm.bench.values import Sent

Clock = Callable[[], float]
_NS = 1e9
_SHOWN = 120
_POLLS, _POLL_S = 200, 0.05


class Way(Protocol):
    """One way of asking: straight to Ollama, or through the package."""

    async def send(self, body: Mapping[str, Any], blank: Sent, question: str = "") -> Sent:
        """Send a chat and return what became of it, as `blank` with its figures; never raises."""


class DownError(Exception):
    """The server does not answer; the message says how."""


class Around:
    """Straight to Ollama.

    Args:
        client: Its base URL is the server; its time limits are those of a request.
        clock: Seconds from some start on.

    Attributes:
        told_at: The server's own time at the end of the last answer, seconds since 1970.
    """

    def __init__(self, client: httpx.AsyncClient, clock: Clock) -> None:
        self.client = client
        self.clock = clock
        self.told_at: float | None = None

    async def send(self, body: Mapping[str, Any], blank: Sent, question: str = "") -> Sent:
        """Send a chat and read its stream."""
        begun = self.clock()
        watch = Watch(begun, self.clock)
        error = ""
        try:
            sent = {**body, "stream": True}
            async with self.client.stream("POST", "/api/chat", json=sent) as reply:
                if reply.status_code >= 400:
                    raw = await reply.aread()
                    error = f"refused: {reply.status_code} {said(raw)}"
                else:
                    async for line in reply.aiter_lines():
                        watch.line(line)
                    error = watch.error
        except (httpx.HTTPError, OSError) as exc:
            error = what(exc)
        self.told_at = watch.told_at or self.told_at
        return watch.sent(blank, error)

    async def unload(self, model: str) -> bool:
        """Unload a model; return whether it is gone.

        Raises:
            DownError: The server does not answer.
        """
        await self._ask("POST", "/api/generate", {"model": model, "keep_alive": 0})
        for _ in range(_POLLS):
            if not await self.loaded(model):
                return True
            await asyncio.sleep(_POLL_S)
        return False

    async def loaded(self, model: str) -> Mapping[str, Any] | None:
        """Return what `/api/ps` says of a model; None: it is not loaded.

        Raises:
            DownError: The server does not answer.
        """
        told = await self._ask("GET", "/api/ps", None)
        listed = told.get("models") or []
        return next((one for one in listed if one.get("name") == model), None)

    async def _ask(self, method: str, path: str, body: Any) -> Mapping[str, Any]:
        try:
            reply = await self.client.request(method, path, json=body)
            told = msgspec.json.decode(reply.content)
        except (httpx.HTTPError, OSError) as exc:
            raise DownError(what(exc)) from exc
        except (msgspec.DecodeError, UnicodeError) as exc:
            msg = f"odd: {path} answers no JSON"
            raise DownError(msg) from exc
        return told if isinstance(told, dict) else {}


class Watch:
    """Reads the lines of one answer; a line may come when it likes."""

    def __init__(self, begun: float, clock: Clock) -> None:
        self.error = ""
        self.done = False
        self.told_at: float | None = None
        self.fields: dict[str, Any] = {}
        self._begun = begun
        self._clock = clock

    def line(self, line: str) -> None:
        """Take one line."""
        if not line.strip():
            return
        try:
            part = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeError):
            self.error = "odd: a line is no JSON"
            return
        if "error" in part:
            self.error = f"error: {str(part['error'])[:_SHOWN]}"
            return
        message = part.get("message") or {}
        if message.get("content") or message.get("thinking") or message.get("tool_calls"):
            self.piece()
        if part.get("done"):
            self.end(part)

    def piece(self) -> None:
        """Note a piece of the answer."""
        now = round(self._clock() - self._begun, 6)
        self.fields.setdefault("ttft", now)
        self.fields["wrote_until"] = now

    def end(self, part: Mapping[str, Any]) -> None:
        """Note what the last line says; what is left out there is zero, if any time is told."""
        self.done = True
        self.told_at = moment(part.get("created_at"))
        if part.get("done_reason") == "load":
            self.error = "odd: the prompt was taken for an empty one"
        self.fields["read"] = part.get("prompt_eval_count") or 0
        self.fields["written"] = part.get("eval_count") or 0
        if part.get("total_duration"):
            names = {"total": "total_duration", "load": "load_duration",
                     "prefill": "prompt_eval_duration", "decode": "eval_duration"}  # fmt: skip
            for field, name in names.items():
                self.fields[field] = round((part.get(name) or 0) / _NS, 6)

    def sent(self, blank: Sent, error: str = "", **more: Any) -> Sent:
        """Return the request with its figures."""
        if not error and not self.done:
            error = "cut: the stream ended without its last line"
        latency = round(self._clock() - self._begun, 6)
        fields = {**self.fields, **more, "latency": latency, "error": error}
        return msgspec.structs.replace(blank, **fields)


def moment(text: Any) -> float | None:
    """Return a time as Ollama writes it in seconds since 1970; None: it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None


def what(exc: Exception) -> str:
    """Return what an error means, in one word and its text."""
    text = str(exc)[:_SHOWN] or type(exc).__name__
    if isinstance(exc, httpx.TimeoutException) and not isinstance(exc, httpx.ConnectTimeout):
        return f"timeout: {text}"
    if isinstance(exc, httpx.TransportError | OSError):
        return f"down: {text}"
    return f"odd: {text}"


def said(raw: bytes) -> str:
    """Return the text of an error that Ollama answers."""
    try:
        told = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        told = None
    text = told.get("error") if isinstance(told, dict) else raw.decode(errors="replace")
    return str(text)[:_SHOWN]
