"""What stands before every page: only this machine's browser, only its own pages, only with a key.

A page of another site can make the browser send requests here. It cannot set the `Host` header,
does not know the path, has not the cookie (`SameSite=Strict`), and cannot read a form's token.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aegis_llm.ui.access import Access

MOST_BYTES = 64 * 1024
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_NO_KEY = (
    "This page opens with the link that aegis-llm ui printed; the link works once, in one browser."
    " Start aegis-llm ui again for a new one."
)


class Guard:
    """Wraps the page's application.

    Args:
        app: What answers.
        access: The secrets.
        port: The port that it listens on, which the `Host` header has to name.
    """

    def __init__(self, app: ASGIApp, access: Access, port: int) -> None:
        self._app = app
        self._access = access
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self.cookie = f"aegis_ui_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        answers = refusal or self._app
        inside = {**scope, "root_path": self._access.place}
        await answers(inside, _bounded(receive), self._sealed(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts or len(headers.getlist("host")) != 1:
            return PlainTextResponse("This host is not served here.\n", 421)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("This method is not allowed.\n", 405)
        if scope["method"] == "POST" and not _from_here(headers, host):
            return PlainTextResponse("A page of another site may not do that.\n", 403)
        if not _length_fits(headers):
            return PlainTextResponse("That is too much at once.\n", 413)
        place = self._access.place
        if scope["path"].startswith(f"{place}/"):
            if any(map(self._access.knows, self._sessions(headers))):
                return None
            if scope["method"] == "GET" and scope["path"] == f"{place}/enter":
                return self._enter(scope)
        return PlainTextResponse(f"{_NO_KEY}\n", 403)

    def _enter(self, scope: Scope) -> Response:
        query = scope.get("query_string", b"").decode("ascii", "replace")
        session = self._access.enter(query.removeprefix("token="))
        if session is None:
            return PlainTextResponse(f"{_NO_KEY}\n", 403)
        place = self._access.place
        answer = RedirectResponse(f"{place}/", 303)
        answer.set_cookie(self.cookie, session, path=place, httponly=True, samesite="strict")
        return answer

    def _sessions(self, headers: Headers) -> list[str]:
        """Return the values of our cookie, whatever others of this machine have set beside it."""
        parts = [part.partition("=") for part in headers.get("cookie", "").split(";")]
        return [value.strip() for name, _, value in parts if name.strip() == self.cookie]

    def _sealed(self, send: Send) -> Send:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        return sealed


def _from_here(headers: Headers, host: str) -> bool:
    """Return whether what the browser says of a request's source is this page."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return headers.get("origin", f"http://{host}") == f"http://{host}"


def _length_fits(headers: Headers) -> bool:
    told = headers.get("content-length", "0")
    return told.isdecimal() and len(told) < 9 and int(told) <= MOST_BYTES


def _bounded(receive: Receive) -> Receive:
    """Return what gives no more of a body than a form may have; the rest is as if cut off."""
    got = 0

    async def bounded() -> Message:
        nonlocal got
        message = await receive()
        if message["type"] == "http.request":
            got += len(message.get("body", b""))
            if got > MOST_BYTES:
                return {"type": "http.disconnect"}
        return message

    return bounded
