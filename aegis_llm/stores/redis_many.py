"""Many plain values at once on Redis: vectors, which nothing invalidates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from aegis_llm.plan import Put
from aegis_llm.stores.deadline import within
from aegis_llm.stores.link import Link
from aegis_llm.stores.redis_commands import reason_of, set_exact
from aegis_llm.stores.redis_lines import AsyncLines, Lines

T = TypeVar("T")
_AT_ONCE = 100  # a hundred vectors are some 150 KB, which one reply has to bring in its time


class ManyValues:
    """The part of a store on Redis that reads and writes many values at once."""

    _direct: bool
    _link: Link
    _lines: Callable[..., Lines]
    _alines: Callable[..., Any]
    _budget: Callable[[AsyncLines], float]

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the values of plain keys, in order; one command for each hundred."""
        lines = self._lines(listening=False)
        found: list[bytes | None] = []
        for some in _parts(keys):
            started = time.perf_counter()
            try:
                if self._direct:
                    replies = lines.call("MGET", *some)
                else:
                    replies = lines.each(*(("GET", key) for key in some))
                found += _values(replies)
            except Exception as exc:
                raise self._link.failed(exc) from exc
            self._link.replied(time.perf_counter() - started)
        return found

    async def aget_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Like `get_many`, awaited."""
        lines: AsyncLines = await self._alines(listening=False)
        found: list[bytes | None] = []
        for some in _parts(keys):
            if self._direct:
                asked = lines.call("MGET", *some)
            else:
                asked = lines.each(*(("GET", key) for key in some))
            try:
                found += _values(await within(self._budget(lines), asked, self._link.replied))
            except Exception as exc:
                raise self._link.failed(exc) from exc
        return found

    def put_many(self, puts: Sequence[Put]) -> None:
        """Store values of the exact tier's kind, each with its expiry, in one go."""
        lines = self._lines(listening=False)
        for some in _parts(puts):
            started = time.perf_counter()
            try:
                _stored(lines.each(*(set_exact(put.key, put.data, put.ttl_ms) for put in some)))
            except Exception as exc:
                raise self._link.failed(exc) from exc
            self._link.replied(time.perf_counter() - started)

    async def aput_many(self, puts: Sequence[Put]) -> None:
        """Like `put_many`, awaited."""
        lines: AsyncLines = await self._alines(listening=False)
        for some in _parts(puts):
            asked = lines.each(*(set_exact(put.key, put.data, put.ttl_ms) for put in some))
            try:
                _stored(await within(self._budget(lines), asked, self._link.replied))
            except Exception as exc:
                raise self._link.failed(exc) from exc


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _values(replies: Any) -> list[bytes | None]:
    """Return the values of the replies; a value of a foreign type is none."""
    for reply in replies:
        if isinstance(reply, Exception) and reason_of(reply) != "foreign_value":
            raise reply
    return [reply if isinstance(reply, bytes) else None for reply in replies]


def _stored(replies: list[Any]) -> None:
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
