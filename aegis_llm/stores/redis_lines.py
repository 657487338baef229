"""One command, one reply, on a redis-py connection, without the client's bookkeeping."""

from __future__ import annotations

import os
from typing import Any

from redis.exceptions import ResponseError


class Lines:
    """Idle connections to one server, shared by the threads of a process.

    They are made as the given client's would be. The client spends as much on statistics, events
    and locks as on the command itself: a look-up takes two thirds of the time without them. A
    connection is kept only after a whole reply; after a fork each process has its own.
    """

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def call(self, *command: Any) -> Any:
        """Send a command and return its reply as it came.

        Raises:
            RedisError: The server refused, or there is no connection to it.
        """
        connection = self._take()
        try:
            connection.send_command(*command)
            reply = connection.read_response()
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Close the idle connections; others are opened when needed."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()

    def _take(self) -> Any:
        if self._pid != os.getpid():
            self._pid, self._idle = os.getpid(), []
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                break
            if _ready(connection):
                return connection
            connection.disconnect()
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()
        return connection


def _ready(connection: Any) -> bool:
    """Return whether the server has neither closed the connection nor sent anything unasked."""
    try:
        return not connection.can_read(0)
    except Exception:  # noqa: BLE001 - whatever it is, another connection is opened
        return False
