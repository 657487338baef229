"""Commands and replies on redis-py's connections, without the clients' bookkeeping.

A client spends as much on statistics, events and locks as on the command itself: a look-up takes
two thirds of the time without them. Lines take the connections that the client would make, keep
one only after whole replies, and give each process its own after a fork. Where a client has to
find the right server first (Sentinel, Cluster), `direct` is False and the client does the call.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from redis.exceptions import ResponseError

Command = tuple[Any, ...]


class Lines:
    """Idle connections to one server, shared by the threads of a process.

    `bounded` calls what connects, within a time; without it the resolver of names has no limit.
    """

    def __init__(
        self,
        client: Any,
        *,
        direct: bool,
        bounded: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.client = client
        self._bounded = bounded if direct and _has_name(client) else None
        self._direct = direct
        self._idle: list[Any] = []
        self._pid = os.getpid()

    def call(self, *command: Any) -> Any:
        """Send a command and return its reply as it came.

        Raises:
            RedisError: The server refused, or there is no connection to it.
        """
        if not self._direct:
            return self.client.execute_command(*command)
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

    def calls(self, *commands: Command) -> list[Any]:
        """Send commands as one message and return their replies; raises the first refusal.

        For a single server only.
        """
        return _granted(self._sent(commands))

    def exchange(
        self, first: list[Command], then: Callable[[list[Any]], list[Command] | None]
    ) -> list[Any] | None:
        """Send commands that watch keys, and as a transaction what `then` makes of the replies.

        Returns its replies, or None when a watched key was changed meanwhile or there is nothing
        to be done. For a single server only.
        """
        connection = self._take()
        try:
            commands = then(_granted(_sent(connection, first))) or [("UNWATCH",)]
            replies = _granted(_sent(connection, commands))
        except BaseException:
            connection.disconnect()  # it may be watching still
            raise
        self._idle.append(connection)
        return replies if len(replies) > 1 and replies[-1] is not None else None

    def several(self, *commands: Command) -> list[Any]:
        """Like `calls`; one after the other where they may go to several servers."""
        return self.calls(*commands) if self._direct else [self.call(*one) for one in commands]

    def each(self, *commands: Command) -> list[Any]:
        """Send commands in one go, wherever they go to; a refusal stands in place of a reply."""
        if not self._direct:
            with self.client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(pipeline.execute(raise_on_error=False))
        return self._sent(commands)

    def close(self) -> None:
        """Close the idle connections; others are opened when needed."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()
        for client in (self.client, *_sentinels(self.client)):
            client.close()

    def _sent(self, commands: Sequence[Command]) -> list[Any]:
        connection = self._take()
        try:
            replies = _sent(connection, commands)
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return replies

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
        connection = _new(self.client)
        if self._bounded is None:
            connection.connect()
        else:
            self._bounded(connection.connect)
        return connection


class AsyncLines:
    """Idle connections to one server, shared by the tasks of an event loop."""

    def __init__(self, client: Any, *, direct: bool) -> None:
        self.client = client
        self._direct = direct
        self._idle: list[Any] = []

    @property
    def connected(self) -> bool:
        """Whether a call needs no new connection."""
        return bool(self._idle)

    async def call(self, *command: Any) -> Any:
        """Like `Lines.call`, awaited."""
        if not self._direct:
            return await self.client.execute_command(*command)
        connection = await self._take()
        try:
            await connection.send_command(*command)
            reply = await connection.read_response()
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return reply

    async def calls(self, *commands: Command) -> list[Any]:
        """Like `Lines.calls`, awaited."""
        return _granted(await self._sent(commands))

    async def exchange(
        self, first: list[Command], then: Callable[[list[Any]], list[Command] | None]
    ) -> list[Any] | None:
        """Like `Lines.exchange`, awaited."""
        connection = await self._take()
        try:
            commands = then(_granted(await _asent(connection, first))) or [("UNWATCH",)]
            replies = _granted(await _asent(connection, commands))
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return replies if len(replies) > 1 and replies[-1] is not None else None

    async def several(self, *commands: Command) -> list[Any]:
        """Like `Lines.several`, awaited."""
        if self._direct:
            return await self.calls(*commands)
        return [await self.call(*one) for one in commands]

    async def each(self, *commands: Command) -> list[Any]:
        """Like `Lines.each`, awaited."""
        if not self._direct:
            async with self.client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                return list(await pipeline.execute(raise_on_error=False))
        return await self._sent(commands)

    async def aclose(self) -> None:
        """Close the idle connections; others are opened when needed."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)
        for client in (self.client, *_sentinels(self.client)):
            await client.aclose()

    def abandon(self) -> list[Any]:
        """Give up what is open, whose loop was closed, and return it."""
        pool = getattr(self.client, "connection_pool", None)
        pooled = getattr(pool, "_available_connections", ())
        connections, self._idle = [*self._idle, *pooled], []
        writers = [getattr(one, "_writer", None) for one in connections]
        for one in connections:
            one._writer = one._reader = None
        return [writer for writer in writers if writer is not None]

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        connection = await self._take()
        try:
            replies = await _asent(connection, commands)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        return replies

    async def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if await _aready(connection):
                return connection
            await connection.disconnect(nowait=True)
        connection = _new(self.client)
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return connection


def transaction(commands: Iterable[Command]) -> list[Command]:
    """Return the commands that perform these as one step."""
    return [("MULTI",), *commands, ("EXEC",)]


def _sentinels(client: Any) -> list[Any]:
    """Return the clients that found the primary, which do not close with it."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(getattr(manager, "sentinels", ()))


def _has_name(client: Any) -> bool:
    """Return whether the server is named, so that a resolver is asked for its address."""
    host = client.connection_pool.connection_kwargs.get("host")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host is not None
    return False


def _new(client: Any) -> Any:
    pool = client.connection_pool
    return pool.connection_class(**pool.connection_kwargs)


def _sent(connection: Any, commands: Sequence[Command]) -> list[Any]:
    connection.send_packed_command(connection.pack_commands(commands))
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except ResponseError as exc:
            replies.append(exc)
    return replies


async def _asent(connection: Any, commands: Sequence[Command]) -> list[Any]:
    await connection.send_packed_command(connection.pack_commands(commands))
    replies: list[Any] = []
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except ResponseError as exc:
            replies.append(exc)
    return replies


def _granted(replies: list[Any]) -> list[Any]:
    inner = replies[-1] if replies and isinstance(replies[-1], list) else ()
    for reply in (*replies, *inner):
        if isinstance(reply, Exception):
            raise reply
    return replies


def _ready(connection: Any) -> bool:
    """Return whether the server has neither closed the connection nor sent anything unasked."""
    try:
        return not connection.can_read(0)
    except Exception:  # noqa: BLE001 - whatever it is, another connection is opened
        return False


async def _aready(connection: Any) -> bool:
    """Like `_ready`; redis-py had another name for it before 8."""
    look = getattr(connection, "can_read", None) or connection.can_read_destructive
    try:
        return not await look()
    except Exception:  # noqa: BLE001 - as in `_ready`
        return False
