"""What the tests of invalidation on a real Redis share."""

from __future__ import annotations

import msgspec

from aegis_llm import codec
from aegis_llm.names import names_of
from aegis_llm.plan import Put
from aegis_llm.stores.redis import RedisStore
from aegis_llm.values import Answer, Entry
from tests.contracts.kit import (
    SCOPE,
    both,
    unit,
)
from tests.contracts.test_invalidation import Ear

NS = "app"
VERSION = "aegis:v1:app:n:version"
DAY_MS = 86_400_000
FOR_DOCUMENTS = ("watch", "unwatch", "zadd", "zremrangebyscore", "subscribe")
FOR_INVALIDATING = ("incr", "zrange", "unlink", "publish", "info", "scan", "hget")


def heard_by(store: RedisStore) -> Ear:
    ear = Ear()
    store.subscribe(ear.hear)
    return ear


def entry(name: str, document: str) -> Put:
    """An entry as it is written."""
    made = Entry(name, (Answer(text=name),), 0, 2**40, scope=SCOPE, documents=(document,))
    put = both(NS, name, unit(1, 0))
    return msgspec.structs.replace(
        put, data=codec.encode(made), names=names_of(made.documents, ())
    )
