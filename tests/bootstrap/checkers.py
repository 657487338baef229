"""The programs that read each form in earnest; a test whose program is absent skips."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

NOBODY = 65534


def needed(*names: str) -> str:
    """Return the first of some programs that is there, else skip and say so."""
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name in names:
        found = shutil.which(name, path=here)
        if found:
            return found
    pytest.skip(f"not checked by its own parser: there is no {' or '.join(names)}")


def run(*command: str, env: dict[str, str] | None = None, nobody: bool = False) -> str:
    """Return what a program prints; it has to end well."""
    as_nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY} if nobody else {}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, **(env or {})}, **as_nobody)  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def script(path: Path, text: str) -> Path:
    """Write a program for the shell and return its path."""
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@contextmanager
def docker_daemon() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Stand in for Docker's daemon: its address, and the containers that it was told to make."""
    made: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Api-Version", "1.41")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            self.reply(200, b"OK" if self.path.endswith("_ping") else b"{}")

        do_HEAD = do_GET  # noqa: N815 - the names are http.server's

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "/containers/create" in self.path:
                made.append(json.loads(body))
                self.reply(201, json.dumps({"Id": "a" * 64, "Warnings": []}).encode())
            else:
                self.reply(204)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_address[1]}", made
        finally:
            server.shutdown()
            thread.join()
