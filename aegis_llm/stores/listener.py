"""The thread that hears what other processes invalidate. It dies with its channel."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

import redis.exceptions

from aegis_llm import events
from aegis_llm.stores import versions
from aegis_llm.stores.redis_clients import sync_client

if TYPE_CHECKING:
    from aegis_llm.stores.channel import Channel

log = logging.getLogger("aegis_llm")
_TIMEOUT_S = 5.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_DENIED_PAUSE_S = 60.0


class Listener:
    """Listens on a connection of its own, and connects again when that is lost.

    Whatever goes wrong costs no request anything: then the age of the local copies is the limit.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = weakref.ref(channel)
        self._stopped = threading.Event()
        self._pubsub: Any = None
        self._pause = _FIRST_PAUSE_S
        self._end = weakref.finalize(channel, self.stop)
        self._end.atexit = False
        self._thread = threading.Thread(target=self._run, name="aegis-io-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon; does not wait for it."""
        self._stopped.set()
        self._end.detach()
        with contextlib.suppress(Exception):  # it may be closing it itself
            self._pubsub.connection._sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._stopped.is_set():
            denied = False
            try:
                self._listen()
            except redis.exceptions.NoPermissionError:
                denied = True
            except Exception as exc:  # noqa: BLE001 - Redis is gone, hung, or no Redis
                log.debug("the listener lost its connection: %s", type(exc).__name__)
            channel = self._channel()
            if channel is None:
                return
            if not self._stopped.is_set():
                channel.listening = False
            if denied:
                self._pause = _DENIED_PAUSE_S
                channel.lacks("listen")
            del channel
            self._stopped.wait(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE_S)

    def _listen(self) -> None:
        channel = self._channel()
        if channel is None:
            return
        client = sync_client(channel.url, _TIMEOUT_S, _TIMEOUT_S)
        try:
            self._pubsub = client.pubsub()
            self._pubsub.subscribe(channel.name)
            self._expect("subscribe")
            _read(channel, client)
            channel.heard_by(self)
            self._pause = _FIRST_PAUSE_S
            tick_s = channel.tick_s
            del channel
            while not self._stopped.is_set():
                message = self._pubsub.get_message(timeout=tick_s)
                if message is None:
                    self._pubsub.ping()
                    message = self._expect("pong")
                if (alive := self._channel()) is None:
                    return
                alive.confirm()
                if message["type"] == "message":
                    _hear(alive, message["data"], client)
                del alive
        finally:
            with contextlib.suppress(Exception):
                self._pubsub.close()
            with contextlib.suppress(Exception):
                client.close()

    def _expect(self, kind: str) -> Any:
        """Return the next message, which is of this kind unless an event came before it."""
        message = self._pubsub.get_message(timeout=_TIMEOUT_S)
        if message is None or message["type"] not in (kind, "message"):
            raise redis.exceptions.ConnectionError
        return message


def _read(channel: Channel, client: Any) -> None:
    """Read version and sequence, on a connection that is not kept."""
    versions.read(channel, client)
    pool = getattr(client, "connection_pool", None)
    if pool is not None:
        pool.disconnect(inuse_connections=False)


def _hear(channel: Channel, message: Any, client: Any) -> None:
    event = channel.opened(message)
    if event is None:
        return
    channel.hearers.tell(event)
    match events.decode(event):
        case events.Renewed(version):
            channel.made(version)
        case events.Invalidated():
            _read(channel, client)
