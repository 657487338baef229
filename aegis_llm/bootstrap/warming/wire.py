"""The HTTP of a warm-up: bodies as they are, and errors as what they mean for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import msgspec
import ollama

from aegis_llm.bootstrap.probing.server import login_of
from aegis_llm.bootstrap.warming.effects import CallError
from aegis_llm.bootstrap.warming.traffic import Server
from aegis_llm.errors import QueueFullError, QueueTimeoutError

_SHOWN = 300


class Wire:
    """A blocking client of one server; `chat` is called by the queue as `ollama.Client`'s is.

    `left` returns the seconds that a request may take.
    """

    def __init__(self, server: Server, left: Callable[[], float]) -> None:
        self._client = ollama.Client(host=server.url, **_clean(server.options))
        self._http = self._client._client
        self._left = left

    def ask(self, method: str, path: str, body: Mapping[str, Any], most_s: float) -> Any:
        """Return the object that is answered; raises what the client raises."""
        sent = dict(body) if method == "POST" else None
        return _read(self._http.request(method, path, json=sent, timeout=most_s))

    def chat(self, **body: Any) -> Any:
        """Send a chat."""
        return self.ask("POST", "/api/chat", body, self._left())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class AsyncWire:
    """Like `Wire`, awaited; made in a thread, since it reads certificates."""

    def __init__(self, server: Server, left: Callable[[], float]) -> None:
        self._client = ollama.AsyncClient(host=server.url, **_clean(server.async_options))
        self._http = self._client._client
        self._left = left

    async def ask(self, method: str, path: str, body: Mapping[str, Any], most_s: float) -> Any:
        """Like `Wire.ask`, awaited; not a moment longer than `most_s`."""
        sent = dict(body) if method == "POST" else None
        async with asyncio.timeout(most_s):
            return _read(await self._http.request(method, path, json=sent, timeout=most_s))

    async def chat(self, **body: Any) -> Any:
        """Send a chat."""
        return await self.ask("POST", "/api/chat", body, self._left())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


@contextlib.contextmanager
def meanings() -> Iterator[None]:
    """Turn the errors of clients and of the queue into `CallError`."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, ConnectionError) as exc:
        raise CallError("down", _short(exc)) from exc
    except (httpx.TimeoutException, TimeoutError) as exc:  # QueueTimeoutError as well
        raise CallError(
            "timeout", _short(exc) if isinstance(exc, QueueTimeoutError) else ""
        ) from exc
    except (httpx.NetworkError, httpx.RemoteProtocolError) as exc:
        raise CallError("down", _short(exc)) from exc
    except ollama.ResponseError as exc:
        raise CallError("refused", exc.error[:_SHOWN], exc.status_code) from exc
    except QueueFullError as exc:
        raise CallError("busy", str(exc)) from exc
    except httpx.HTTPError as exc:
        raise CallError("odd", _short(exc)) from exc


def with_login(url: str) -> Server:
    """Return a server whose user and password, if the URL holds them, are sent as a header."""
    bare, login = login_of(url)
    if not login:
        return Server(url=url)
    headers = {"headers": login}
    return Server(url=bare, options=headers, async_options=headers)


def _clean(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of a client without its time limit: each request has its own."""
    return {name: value for name, value in options.items() if name not in ("timeout", "host")}


def _read(response: httpx.Response) -> Any:
    if response.status_code >= 400:
        raise ollama.ResponseError(response.text, response.status_code)
    try:
        body = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise CallError("odd", "the answer is no JSON") from exc
    if not isinstance(body, dict):
        raise CallError("odd", "the answer is no object")
    return body


def _short(exc: Exception) -> str:
    return str(exc)[:_SHOWN]
