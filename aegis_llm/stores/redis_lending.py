"""Lends a connection for looking at what is stored, with the time that a person has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import RedisError
from redis.exceptions import RedisClusterException

from aegis_llm.errors import StoreTrouble
from aegis_llm.stores.link import Link
from aegis_llm.stores.redis_commands import garbled


class Lending:
    """The part of a store on Redis whose client others may use."""

    _link: Link
    _admin: Callable[..., Any]

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """Lend a client with long timeouts; nothing is written to Redis by that alone.

        Raises:
            StoreTrouble: Redis cannot be reached, or a command inside the block failed.
        """
        try:
            client = self._admin()
            try:
                yield client
            finally:
                client.close()
        except (RedisError, RedisClusterException, OSError) as exc:
            raise StoreTrouble(self._link.failed(exc).reason) from exc
        except Exception as exc:
            if garbled(exc):
                raise StoreTrouble(self._link.failed(exc).reason) from exc
            raise
