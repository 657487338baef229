"""Does what the plans of the cache's warm-up ask for, in threads of its own."""

from __future__ import annotations

import time
from typing import Any

from aegis_llm.bootstrap.warming import effects as e
from aegis_llm.bootstrap.warming.traffic import Cache
from aegis_llm.config import safe_url
from aegis_llm.control import cache_control
from aegis_llm.errors import EmbedTrouble, StoreTrouble, Trouble
from aegis_llm.keys import normal_model
from aegis_llm.scheduler.pool import DaemonPool, await_, wait
from aegis_llm.stores.redis import RedisStore
from aegis_llm.stores.redis_about import About

_DIGEST_S = 5.0
_LATE = StoreTrouble("redis_timeout")


class Keeper:
    """Performs the plans of one cache; every call to Redis or an embedder is in another thread."""

    def __init__(self, caches: tuple[Cache, ...], deadline: float) -> None:
        self._caches = caches
        self._deadline = deadline
        self._main = next((c for c in caches if c.embedder is not None), caches[0])
        self._pool = DaemonPool("aegis-warm-redis", 4)

    @property
    def searches(self) -> bool:
        """Whether there is an embedder whose vectors are searched for in a Redis."""
        return self._main.embedder is not None and isinstance(self._main.store, RedisStore)

    @property
    def shown(self) -> str:
        """The URL without a password."""
        return safe_url(self._main.config.redis_url)

    def perform(self, effect: Any) -> Any:
        """Perform one effect."""
        if isinstance(effect, e.Clock):
            return time.monotonic()
        return wait(self._pool.submit(self._do, effect), self._left(), _late(effect))

    async def aperform(self, effect: Any) -> Any:
        """Like `perform`, awaited."""
        if isinstance(effect, e.Clock):
            return time.monotonic()
        return await await_(self._pool.submit(self._do, effect), self._left(), _late(effect))

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def _do(self, effect: Any) -> Any:
        store = self._main.store
        match effect:
            case e.Reach():
                for cache in self._caches:
                    cache.store.ready(self._left())
                return store.about() if isinstance(store, RedisStore) else About()
            case e.Digests():
                return self._digests()
            case e.Dimension():
                return self._dimension()
            case e.HasIndex(dimension) if isinstance(store, RedisStore):
                return store.has_index(dimension)
            case e.MakeIndex(dimension) if isinstance(store, RedisStore):
                return store.make_index(dimension, self._left())
        raise TypeError(effect)

    def _digests(self) -> bool | None:
        asked = [(c.digests, *one) for c in self._caches for one in c.models]
        most = min(_DIGEST_S, self._left())
        known = [
            digests.ask(server, normal_model(name), most) is not None
            for digests, server, name in asked
        ]
        return all(known) if known else None

    def _dimension(self) -> int:
        assert self._main.embedder is not None  # noqa: S101 - else no index is planned
        try:
            with cache_control(bypass=True):
                return len(self._main.embedder.embed("Hi"))
        except Exception as exc:
            raise EmbedTrouble("embedding_failed", str(exc)) from exc


def _late(effect: Any) -> Trouble:
    if isinstance(effect, e.Dimension):
        return EmbedTrouble("embedding_timeout")
    return _LATE
