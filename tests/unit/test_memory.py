"""What `memory://` does beside the contract of every store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aegis_llm.config import AegisConfig
from aegis_llm.plan import Put, SemanticRecord
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.testing import ManualClock
from aegis_llm.wiring import make_store

UNIT = np.array([1, 0], np.float32).tobytes()


def put(key: str, size: int = 1, ttl_ms: int = 60_000, *, semantic: bool = False) -> Put:
    record = SemanticRecord(
        entry_id=key, scope="s", question="q", vector=UNIT, tenant="", model="m", tags=(),
        documents=(), created_ms=0,
    )  # fmt: skip
    return Put(key, b"x" * size, ttl_ms, record if semantic else None)


def test_the_bytes_are_bounded_and_the_longest_unused_goes_first() -> None:
    store = MemoryStore(max_bytes=3 * (512 + 2))
    for name in "abc":
        store.put(put(name))
    store.get("a")
    store.put(put("d"))
    assert [store.get(name) for name in "abcd"] == [b"x", None, b"x", b"x"]
    assert len(store) == 3


def test_a_value_beyond_all_bounds_is_not_kept() -> None:
    store = MemoryStore(max_bytes=1000)
    store.put(put("a", 2000, semantic=True))
    assert (len(store), store.get("a"), store.nearest("s", UNIT, 4)) == (0, None, [])


def test_an_expired_entry_frees_its_bytes_and_its_vector() -> None:
    clock = ManualClock()
    store = MemoryStore(monotonic=clock.monotonic)
    store.put(put("a", ttl_ms=1000, semantic=True))
    clock.advance(0.999)
    assert store.nearest("s", UNIT, 4) == [(b"x", 1.0)]
    clock.advance(0.001)
    assert store.nearest("s", UNIT, 4) == []
    assert (store.get("a"), len(store)) == (None, 0)


class Embedder:
    def __init__(self, embedding_id: str) -> None:
        self.embedding_id = embedding_id

    def embed(self, text: str) -> list[float]:
        return [1.0, 0.0]


def stores(*names: tuple[str, str, str | None]) -> list[Any]:
    """Stores of this URL, namespace and embedder, as the wiring makes them."""
    pool = DaemonPool("test", 1)
    return [
        make_store(
            AegisConfig().with_options(redis_url=url, namespace=namespace),
            Embedder(embedder) if embedder else None,
            pool,
        )
        for url, namespace, embedder in names
    ]


def test_models_with_the_same_name_share_their_entries() -> None:
    one, two = stores(("memory://", "ns", "e"), ("memory://", "ns", "e"))
    one.put(put("a", semantic=True))
    assert two.get("a") == b"x"
    assert two.nearest("s", UNIT, 4) == [(b"x", 1.0)]


@pytest.mark.parametrize("other", [("memory://x", "ns", "e"), ("memory://", "other", "e")])
def test_another_name_or_namespace_shares_nothing(other: tuple[str, str, str]) -> None:
    one, two = stores(("memory://", "ns", "e"), other)
    one.put(put("a", semantic=True))
    assert two.get("a") is None
    assert two.nearest("s", UNIT, 4) == []


@pytest.mark.parametrize("embedder", ["other", None])
def test_another_embedder_shares_the_exact_tier_only(embedder: str | None) -> None:
    """The vectors of two embedders have nothing in common, even of one length."""
    one, two = stores(("memory://", "ns", "e"), ("memory://", "ns", embedder))
    one.put(put("a", semantic=True))
    assert two.get("a") == b"x"
    assert two.nearest("s", UNIT, 4) == []
    assert one.nearest("s", UNIT, 4) == [(b"x", 1.0)]
