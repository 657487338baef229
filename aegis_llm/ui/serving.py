"""Serves the page on this machine alone, until it is stopped."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from aegis_llm.browsing import Browser
from aegis_llm.browsing.endpoint import Source
from aegis_llm.browsing.overview import Overview
from aegis_llm.errors import AegisError
from aegis_llm.ui.access import Access
from aegis_llm.ui.application import application
from aegis_llm.ui.trying import Trying

HOST = "127.0.0.1"
_LAST_REQUESTS_S = 2


class PortError(AegisError):
    """The port cannot be listened on; the message says why and what to do."""


class Page:
    """The page of one namespace: it listens once made, and answers in `run`.

    Args:
        browser: The namespace.
        source: Where figures of serving processes come from.
        trying: Explains questions.
        port: Where to listen; 0: any free port.
    """

    def __init__(
        self, browser: Browser, source: Source | None, trying: Trying, port: int = 0
    ) -> None:
        self._socket = _listening(port)
        self.port = int(self._socket.getsockname()[1])
        access = Access()
        self.base = f"http://{HOST}:{self.port}{access.place}"
        self.url = f"{self.base}/enter?token={access.token}"
        self.overview = Overview(browser, source)
        app = application(browser, self.overview, trying, access, self.port)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,  # an address holds the token, or what was searched for
                log_level="warning",
                lifespan="off",
                ws="none",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_REQUESTS_S,
            )
        )

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Answer until `stop`, or Ctrl-C in the main thread."""
        if ready is not None:
            ready()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End `run` soon, from any thread."""
        self._server.should_exit = True


def _listening(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((HOST, port))
        made.listen(64)
    except OSError as exc:
        made.close()
        msg = f"port {port} of {HOST} cannot be used: {exc.strerror}; --port 0 takes a free one"
        raise PortError(msg) from exc
    return made
