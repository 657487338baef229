"""A small HTTP/1.1 server on loopback: one thread a connection, chunked answers, resets."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO, NoReturn

JSON = "application/json; charset=utf-8"
PLAIN_JSON = "application/json"
"""What a stream that fails before its first line is answered with."""
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"
_BACKLOG = 256
_BUFFER = 2048
_LARGEST_BODY = 256 << 20


class GoneError(Exception):
    """The client closed the connection, the server stops, or the connection was reset."""


class Exchange:
    """One request and the ways to answer it."""

    def __init__(
        self,
        connection: socket.socket,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        stopping: Callable[[], bool],
    ) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.started = False
        self.before_last: Callable[[], None] = _nothing
        self._connection = connection
        self._stopping = stopping
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN | select.POLLHUP)

    def watch(self) -> None:
        """Raise `GoneError` when there is nobody left to answer."""
        if self._stopping():
            raise GoneError
        if self._poll.poll(0):
            try:
                if self._connection.recv(1, socket.MSG_PEEK) == b"":
                    raise GoneError
            except OSError as error:
                raise GoneError from error

    def answer(
        self,
        status: int,
        body: bytes,
        content_type: str = JSON,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer."""
        self.before_last()
        headers = {"Content-Type": content_type, **(extra or {})}
        if not content_type:
            del headers["Content-Type"]
        payload = b"" if self.method == "HEAD" else body
        if len(body) > _BUFFER or content_type == PLAIN_JSON:
            # Go announces no length for what does not fit its buffer.
            headers["Transfer-Encoding"] = "chunked"
            payload = _chunk(payload) + _chunk(b"") if payload else b""
        else:
            headers["Content-Length"] = str(len(body))
        self._send(_head(status, headers) + payload)

    def line(self, data: bytes) -> None:
        """Send one line of a streamed answer; the first starts the answer with status 200."""
        self._send(self._start() + _chunk(data + b"\n"))

    def last_line(self, data: bytes) -> None:
        """Send the last line of a streamed answer and its end."""
        self.before_last()
        self._send(self._start() + _chunk(data + b"\n") + _chunk(b""))

    def end(self) -> None:
        """End a streamed answer."""
        self.before_last()
        self._send(self._start() + _chunk(b""))

    def _start(self) -> bytes:
        if self.started:
            return b""
        return _head(200, {"Content-Type": NDJSON, "Transfer-Encoding": "chunked"})

    def reset(self) -> NoReturn:
        """Break the connection so that the client sees a reset, and raise `GoneError`."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise GoneError

    def _send(self, data: bytes) -> None:
        self.started = True
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise GoneError from error


class Server:
    """Listen on 127.0.0.1 and hand every request to `handle` in the thread of its connection."""

    def __init__(self, handle: Callable[[Exchange], None], port: int) -> None:
        self._handle = handle
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", port))
            self._listener.listen(_BACKLOG)
        except OSError:
            self._listener.close()
            raise
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="ollama-sim", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Close every connection and wait for the threads."""
        self._stopping.set()
        # A listening socket closed under accept() leaves the thread asleep: shut it down first.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            left = dict(self._connections)
        for connection, thread in left.items():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as reader:
                while not self._stopping.is_set():
                    exchange = self._read(connection, reader)
                    if exchange is None:
                        return
                    self._handle(exchange)
                    if exchange.headers.get("connection", "").lower() == "close":
                        return
        except (GoneError, OSError):
            return
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _read(self, connection: socket.socket, reader: BinaryIO) -> Exchange | None:
        line = reader.readline(65_536)
        parts = line.decode("latin-1").split()
        if len(parts) != 3:
            return None
        headers: dict[str, str] = {}
        while (raw := reader.readline(65_536)) not in (b"\r\n", b"\n", b""):
            name, _, value = raw.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _body(reader, headers)
        path = parts[1].partition("?")[0]
        return Exchange(connection, parts[0], path, headers, body, self._stopping.is_set)


def _body(reader: BinaryIO, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts: list[bytes] = []
        while size := int(reader.readline(64).split(b";")[0] or b"0", 16):
            parts.append(reader.read(size))
            reader.readline(2)
        reader.readline(2)
        return b"".join(parts)
    return reader.read(min(int(headers.get("content-length", 0)), _LARGEST_BODY))


def _nothing() -> None:
    pass


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = f"status code {status}"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Date: {formatdate(usegmt=True)}", "", ""]
    return "\r\n".join(lines).encode("latin-1")
