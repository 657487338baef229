"""What every store promises, in memory and in Redis, blocking and awaited."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aegis_llm.errors import StoreTrouble
from aegis_llm.plan import Put, Survey
from tests.contracts.kit import SCOPE, both, key_of, unit, until

Make = Callable[..., Any]


def test_what_was_put_comes_back_as_it_was(store: Any, namespace: str) -> None:
    key = key_of(namespace, "a")
    assert store.get(key) is None
    for data in (b"value", b"", b"\x00\r\n$5\xff*", "ünï".encode(), b"x" * 1_000_000):
        store.put(Put(key, data, 60_000))
        assert store.get(key) == data
    assert store.get(key + "x") is None


def test_a_value_is_gone_when_its_time_is_over(store: Any, namespace: str) -> None:
    key = key_of(namespace, "a")
    store.put(Put(key, b"value", 50))
    store.put(Put(key + "x", b"value", 60_000))
    until(lambda: store.get(key) is None)
    assert store.get(key + "x") == b"value"


def test_a_new_value_has_a_new_time(store: Any, namespace: str) -> None:
    key, other = key_of(namespace, "a"), key_of(namespace, "b")
    store.put(Put(key, b"old", 50))
    store.put(Put(key, b"new", 60_000))
    store.put(Put(other, b"value", 100))
    until(lambda: store.get(other) is None)
    assert store.get(key) == b"new"


def test_a_deleted_value_is_gone(store: Any, namespace: str) -> None:
    key = key_of(namespace, "a")
    store.put(Put(key, b"value", 60_000))
    store.delete(key)
    store.delete(key)
    assert store.get(key) is None


def test_both_tiers_are_filled_at_once(store: Any, namespace: str) -> None:
    store.put(both(namespace, "a", unit(1, 0)))
    assert store.get(key_of(namespace, "a")) == b"a"
    assert store.nearest(SCOPE, unit(1, 0), 4) == [(b"a", pytest.approx(1.0, abs=1e-5))]


def test_the_nearest_come_first_with_their_cosine_similarity(store: Any, namespace: str) -> None:
    angles = {"far": 80, "near": 10, "same": 0, "opposite": 180, "middle": 45}
    for name, angle in angles.items():
        radians = math.radians(angle)
        store.put(both(namespace, name, unit(math.cos(radians), math.sin(radians))))
    found = store.nearest(SCOPE, unit(1, 0), 10)
    assert [data.decode() for data, _ in found] == ["same", "near", "middle", "far", "opposite"]
    expected = [math.cos(math.radians(a)) for a in sorted(angles.values())]
    assert [similarity for _, similarity in found] == pytest.approx(expected, abs=1e-5)
    assert store.nearest(SCOPE, unit(1, 0), 2) == found[:2]


def test_a_search_before_anything_was_stored_finds_nothing(make: Make) -> None:
    assert make(ready=False).nearest(SCOPE, unit(1, 0), 4) == []


def test_what_was_stored_before_the_first_search_is_found(make: Make, namespace: str) -> None:
    """The index was lost, say; Redis takes in what is there in the background."""
    store = make(ready=False)
    for number in range(20):
        store.put(both(namespace, f"n{number}", unit(1, number)))
    until(lambda: len(store.nearest(SCOPE, unit(1, 0), 64)) == 20)


def test_a_scope_is_exact(store: Any, namespace: str) -> None:
    """Neither a part of it, nor another case, nor a neighbour by vector counts."""
    scopes = ["ab12" * 16, "ab12" * 15, "AB12" * 16, "ab13" * 16]
    for number, scope in enumerate(scopes):
        store.put(both(namespace, f"n{number}", unit(1, 0), scope))
    for number, scope in enumerate(scopes):
        assert [data for data, _ in store.nearest(scope, unit(1, 0), 9)] == [b"n%d" % number]
    assert store.nearest("ab", unit(1, 0), 9) == []


def test_a_small_scope_is_searched_whole_beside_a_big_one(store: Any, namespace: str) -> None:
    for number in range(300):
        store.put(both(namespace, f"big{number}", unit(1, number / 1000)))
    for number in range(3):
        store.put(both(namespace, f"small{number}", unit(1, 50 + number), "6" * 64))
    for _ in range(2):
        found = store.nearest("6" * 64, unit(1, 0), 4)
        assert [data.decode() for data, _ in found] == ["small0", "small1", "small2"]
        assert len(store.nearest(SCOPE, unit(1, 0), 4)) == 4


def test_an_entry_put_again_is_one_entry(store: Any, namespace: str) -> None:
    store.put(both(namespace, "a", unit(1, 0)))
    store.put(both(namespace, "a", unit(0, 1)))
    found = store.nearest(SCOPE, unit(0, 1), 9)
    assert found == [(b"a", pytest.approx(1.0, abs=1e-5))]


def test_an_expired_entry_is_not_found(store: Any, namespace: str) -> None:
    store.put(both(namespace, "short", unit(1, 0), ttl_ms=50))
    store.put(both(namespace, "long", unit(0, 1)))
    until(lambda: [d for d, _ in store.nearest(SCOPE, unit(1, 0), 9)] == [b"long"])
    assert store.get(key_of(namespace, "short")) is None


def test_vectors_of_another_length_never_meet(store: Any, namespace: str) -> None:
    """The embedder's model was changed and its name was not."""
    store.put(both(namespace, "two", unit(1, 0)))
    assert len(store.nearest(SCOPE, unit(1, 0), 9)) == 1
    assert store.nearest(SCOPE, unit(1, 0, 0), 9) == []
    store.put(both(namespace, "three", unit(1, 0, 0)))
    assert [data for data, _ in store.nearest(SCOPE, unit(1, 0, 0), 9)] == [b"three"]
    assert [data for data, _ in store.nearest(SCOPE, unit(1, 0), 9)] == [b"two"]
    assert store.get(key_of(namespace, "two")) == b"two"


def test_another_embedder_is_another_index(make: Make, namespace: str) -> None:
    one, two = make(embedding_id="MiniLM v1"), make(embedding_id="MiniLM-v1")
    one.put(both(namespace, "a", unit(1, 0)))
    assert two.nearest(SCOPE, unit(1, 0), 9) == []
    two.put(both(namespace, "b", unit(1, 0)))
    assert [data for data, _ in one.nearest(SCOPE, unit(1, 0), 9)] == [b"a"]
    assert [data for data, _ in two.nearest(SCOPE, unit(1, 0), 9)] == [b"b"]
    assert two.get(key_of(namespace, "a")) == b"a", "the exact tier needs no embedder"


def test_clearing_leaves_nothing_and_the_store_goes_on(store: Any, namespace: str) -> None:
    for number in range(1200):
        store.put(Put(key_of(namespace, str(number)), b"x", 60_000))
    store.put(both(namespace, "a", unit(1, 0)))
    store.nearest(SCOPE, unit(1, 0), 4)
    store.clear()
    assert store.nearest(SCOPE, unit(1, 0), 4) == []
    assert all(store.get(key_of(namespace, str(n))) is None for n in (0, 599, 1199))
    store.put(both(namespace, "b", unit(1, 0)))
    assert [data for data, _ in store.nearest(SCOPE, unit(1, 0), 4)] == [b"b"]


def test_clearing_stays_inside_the_namespace(make: Make, namespace: str) -> None:
    """Also when another's key holds this name in its model: `...:x:HASH:NAMESPACE:x:0.5`."""
    names = [namespace, f"{namespace}2", f"x{namespace}", namespace.upper()]
    stores = [make(namespace=name) for name in names]
    keys = [f"aegis:v1:{name}:x:h:{namespace}:x:s:0.5" for name in names]
    for store, name, key in zip(stores, names, keys, strict=True):
        store.put(both(name, "a", unit(1, 0)))
        store.put(Put(key, b"kept", 60_000))
    stores[0].clear()
    assert stores[0].get(keys[0]) is None
    assert stores[0].nearest(SCOPE, unit(1, 0), 4) == []
    for store, key in zip(stores[1:], keys[1:], strict=True):
        assert store.get(key) == b"kept"
        assert len(store.nearest(SCOPE, unit(1, 0), 4)) == 1


def test_it_can_be_closed_and_used_again(store: Any, namespace: str) -> None:
    key = key_of(namespace, "a")
    store.put(Put(key, b"value", 60_000))
    for _ in range(2):
        store.close()
        assert store.get(key) == b"value"


def test_a_survey_looks_into_one_scope_one_tenant_or_all(store: Any, namespace: str) -> None:
    for name, scope in (("a", SCOPE), ("b", "6" * 64)):
        store.put(both(namespace, name, unit(1, 0), scope))
    put = both(namespace, "c", unit(1, 1), "7" * 64)
    foreign = msgspec.structs.replace(put.semantic, tenant="9" * 32)
    store.put(msgspec.structs.replace(put, semantic=foreign))
    tenant = both(namespace, "a", unit(1, 0)).semantic.tenant

    def found(**given: Any) -> list[bytes]:
        return [value for value, _ in store.survey(Survey(unit(1, 0), 5, **given))]

    assert found(scope=SCOPE) == [b"a"]
    assert found(scope="8" * 64) == []
    assert sorted(found(tenant=tenant)) == [b"a", b"b"]
    assert found(tenant="9" * 32) == [b"c"]
    assert sorted(found()) == [b"a", b"b", b"c"]
    nearest = store.survey(Survey(unit(1, 0), 3))
    assert nearest[-1] == (b"c", pytest.approx(math.sqrt(0.5), abs=1e-5))
    assert len(store.survey(Survey(unit(1, 0), 1))) == 1


def test_a_survey_makes_no_index(make: Make, namespace: str) -> None:
    store = make(ready=False)
    for _ in range(2):
        try:
            assert store.survey(Survey(unit(1, 0), 4)) == []
        except StoreTrouble as exc:
            assert exc.reason == "index_missing"  # noqa: PT017 - memory has no index to miss


def test_many_values_come_back_in_order(store: Any, namespace: str) -> None:
    keys = [key_of(namespace, str(number)) for number in range(250)]
    assert store.get_many(keys) == [None] * 250
    store.put_many([Put(key, key.encode(), 60_000) for key in keys[::2]])
    found = store.get_many(list(reversed(keys)))
    assert found == [key.encode() if n % 2 == 0 else None for n, key in enumerate(keys)][::-1]
    assert store.get(keys[0]) == keys[0].encode()
    assert store.get_many([keys[0], keys[0], keys[1]]) == [keys[0].encode()] * 2 + [None]
    assert store.get_many([]) == []
    store.put_many([])


def test_each_of_many_values_has_its_own_time(store: Any, namespace: str) -> None:
    short, long = key_of(namespace, "short"), key_of(namespace, "long")
    store.put_many([Put(short, b"value", 50), Put(long, b"\x00\r\n", 60_000)])
    until(lambda: store.get_many([short, long]) == [None, b"\x00\r\n"])


def test_clearing_takes_the_vectors_too(make: Make, namespace: str) -> None:
    store, other = make(), make(namespace=f"{namespace}2")
    key, kept = f"aegis:v1:{namespace}:v:ab:m", f"aegis:v1:{namespace}2:v:ab:{namespace}:v:x"
    store.put_many([Put(key, b"vector", 60_000)])
    other.put_many([Put(kept, b"vector", 60_000)])
    store.clear()
    assert store.get_many([key]) == [None]
    assert other.get_many([kept]) == [b"vector"]
