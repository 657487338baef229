"""Entries that remember their documents and tags in Redis, and their end by an invalidation."""

from __future__ import annotations

import time
from typing import Any

from aegis_llm.plan import Put
from aegis_llm.stores import document_commands as documents
from aegis_llm.stores import versions
from aegis_llm.stores.channel import Channel
from aegis_llm.stores.redis_commands import Command, reason_of
from aegis_llm.stores.redis_lines import AsyncLines, Lines, transaction

_RETRY_S = 60.0


class Overtaken(Exception):  # noqa: N818 - it is no error of the caller's
    """One of the entry's documents or tags was invalidated since it was asked for."""


class Recorder:
    """Stores entries under their names, unless one of these was invalidated meanwhile."""

    def __init__(self, channel: Channel, *, direct: bool) -> None:
        self._channel = channel
        self._direct = direct
        self._able_from = 0.0

    @property
    def able(self) -> bool:
        """Whether the user has the rights, as far as is known; tried again every minute."""
        return time.monotonic() >= self._able_from

    def refused(self, reason: str) -> bool:
        """Note why an entry could not be stored; True: it may be stored without its names."""
        if reason != "redis_no_permission" or not self.able:
            return False
        self._able_from = time.monotonic() + _RETRY_S
        self._channel.lacks("record")
        return True

    def put(self, lines: Lines, put: Put, batch: list[Command]) -> None:
        """Store the entry with these commands and its names with others."""
        watch, *asked = documents.guard(self._channel.namespace, put.names)
        if self._direct:
            first = [watch, *asked]
            done = lines.exchange(first, lambda replies: self._then(replies[1:], put, batch))
            if done is None:
                raise Overtaken
            return
        lines.several(*self._records(put, batch))
        lines.several(*batch)
        if documents.overtaken(lines.several(*asked), put.sequence):
            lines.call("UNLINK", put.key)
            raise Overtaken

    async def aput(self, lines: AsyncLines, put: Put, batch: list[Command]) -> None:
        """Like `put`, awaited."""
        watch, *asked = documents.guard(self._channel.namespace, put.names)
        if self._direct:
            first = [watch, *asked]
            done = await lines.exchange(first, lambda replies: self._then(replies[1:], put, batch))
            if done is None:
                raise Overtaken
            return
        await lines.several(*self._records(put, batch))
        await lines.several(*batch)
        if documents.overtaken(await lines.several(*asked), put.sequence):
            await lines.call("UNLINK", put.key)
            raise Overtaken

    def _then(self, replies: list[Any], put: Put, batch: list[Command]) -> list[Command] | None:
        if documents.overtaken(replies, put.sequence):
            return None
        return transaction([*batch, *self._records(put, batch)])

    def _records(self, put: Put, batch: list[Command]) -> list[Command]:
        members = [str(command[1]) for command in batch if command[0] in ("SET", "HSET")]
        now_ms = time.time_ns() // 1_000_000
        return documents.records(self._channel.namespace, put, members, now_ms)


def learn(channel: Channel, client: Any) -> None:
    """Read version and sequence at the first contact; without the right to, nothing is known."""
    try:
        versions.read(channel, client)
    except Exception as exc:
        reason = reason_of(exc)
        if reason == "redis_no_permission":
            channel.lacks("read")
        elif reason != "foreign_value":
            raise
