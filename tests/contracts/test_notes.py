"""What was learnt, in every store: shared, bounded, and removed with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import redis

from aegis_llm import wiring
from aegis_llm.codec import encode
from aegis_llm.config import CacheConfig
from aegis_llm.errors import StoreTrouble
from aegis_llm.learning import ledger, pairs
from aegis_llm.learning.ledger import Counts, Label
from aegis_llm.plan import Put
from aegis_llm.ports import Store
from aegis_llm.scheduler.pool import DaemonPool
from aegis_llm.stores.memory import MemoryStore
from aegis_llm.stores.redis import RedisStore
from aegis_llm.values import Answer, Entry
from tests.contracts.kit import SCOPE, key_of, record, redis_store, settled, unit
from tests.redis_server import RedisServer

ID, OTHER = "a" * 64, "b" * 64
NOW = 1_700_000_000_000


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest, namespace: str, redis_url: str) -> Callable[..., Store]:
    """Makes stores of one namespace, as processes would, each with the embedder it is given."""
    shared: dict[str, MemoryStore] = {}

    def make(embedder: str = "test embedder", namespace: str = namespace) -> Store:
        if request.param == "memory":
            return shared.setdefault(namespace, MemoryStore()).seen_by(embedder)
        store = redis_store(redis_url, namespace, embedder)
        request.addfinalizer(store.close)
        return store

    return make


def test_nothing_was_learnt_yet(make: Callable[..., Store]) -> None:
    notes = make().notes
    assert notes.pairs(0) == {}
    own, _, log = notes.labels()
    assert (own, log) == (Counts(), [])
    notes.write({}, [], NOW)
    assert notes.remove(ID) == []


def test_verdicts_are_shared_and_read_since_a_time(make: Callable[..., Store]) -> None:
    make().notes.write({"1" * 32: "approved", "2" * 32: "refused"}, [], NOW)
    make().notes.write({"3" * 32: "approved"}, [], NOW + 10)
    notes = make().notes
    assert notes.pairs(0) == {"1" * 32: "approved", "2" * 32: "refused", "3" * 32: "approved"}
    assert notes.pairs(NOW + 5) == {"3" * 32: "approved"}


def test_of_two_findings_about_a_pair_the_users_counts(make: Callable[..., Store]) -> None:
    orders: tuple[tuple[pairs.Finding, ...], ...] = (
        ("refused", "rejected"),
        ("rejected", "refused"),
    )
    for order in orders:
        notes = make(namespace=f"{order[0]}-first").notes
        for number, finding in enumerate(order):
            notes.write({"1" * 32: finding}, [], NOW + number)
        assert notes.pairs(0) == {"1" * 32: "rejected"}


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("memory_notes", "redis_notes"):
        monkeypatch.setattr(f"aegis_llm.stores.{module}.MOST_PAIRS", 3)


def names(count: int, letter: str = "0") -> list[str]:
    return [f"{letter}{number}" * 16 for number in range(count)]


@pytest.mark.parametrize("finding", get_args(pairs.Finding))
def test_the_oldest_of_a_kind_go(
    make: Callable[..., Store], three: None, finding: pairs.Finding
) -> None:
    notes = make().notes
    for number, name in enumerate(names(5)):
        notes.write({name: finding}, [], NOW + number)
    assert sorted(notes.pairs(0)) == names(5)[2:]


def test_a_rejection_outlives_any_number_of_other_verdicts(
    make: Callable[..., Store], three: None
) -> None:
    assert pairs.MOST_PAIRS == 20_000
    notes = make().notes
    notes.write({"f" * 32: "rejected"}, [], NOW)
    for number, name in enumerate(names(9)):
        notes.write({name: "refused"}, [], NOW + number)
        notes.write({"a" + name[1:]: "approved"}, [], NOW + number)
    assert notes.pairs(0) == {"f" * 32: "rejected", **dict.fromkeys(names(9)[6:], "refused")}


def test_approvals_go_before_refusals(make: Callable[..., Store], three: None) -> None:
    notes = make().notes
    for number, name in enumerate(names(3, "a")):
        notes.write({name: "approved"}, [], NOW + number)
    notes.write({"1" * 32: "refused", "2" * 32: "rejected"}, [], NOW - 5)
    left = {"1" * 32: "refused", "2" * 32: "rejected", names(3, "a")[2]: "approved"}
    assert notes.pairs(0) == left
    notes.write({"3" * 32: "refused"}, [], NOW - 5)
    assert "approved" not in notes.pairs(0).values()
    assert len(notes.pairs(0)) == 3


def test_a_user_who_may_not_count_loses_no_verdict(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise redis.exceptions.NoPermissionError

    monkeypatch.setattr(redis.Redis, "zcard", refused)
    notes = make().notes
    notes.write({"1" * 32: "refused"}, [Label(ID, True, "check", NOW)], NOW)
    assert notes.pairs(0) == {"1" * 32: "refused"}
    assert notes.labels()[0] == Counts(1, 0)


def test_labels_are_counted_shared_and_bounded(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("memory_notes", "redis_notes"):
        monkeypatch.setattr(f"aegis_llm.stores.{module}.LOG", 3)
    told = [Label(ID, number % 2 == 0, "check", NOW + number) for number in range(5)]
    before = make().notes.labels()[1]
    make().notes.write({}, told[:2], NOW)
    make().notes.write({}, told[2:], NOW)
    own, everywhere, log = make().notes.labels()
    assert own == Counts(3, 2)
    assert everywhere == before + own
    assert log == told[-3:]
    assert ledger.LOG == 2000


def test_an_entry_goes_from_both_tiers_whatever_embedder_and_nothing_else_does(
    make: Callable[..., Store], namespace: str
) -> None:
    data = {name: encode(Entry(name, (Answer("x"),), 0, 1)) for name in (ID, OTHER)}
    stores = [make("one"), make("another")]
    for store in stores:
        settled(lambda store=store: store.nearest(SCOPE, unit(1, 0), 1))
        for name in (ID, OTHER):
            put = Put(key_of(namespace, name), data[name], 60_000, record(name, unit(1, 0)))
            store.put(put)
    stranger = make(namespace=f"{namespace}x")
    stranger.put(Put(key_of(f"{namespace}x", ID), b"theirs", 60_000))
    removed = stores[0].notes.remove(ID)
    assert set(removed) == {data[ID]}
    for store in stores:
        assert store.get(key_of(namespace, ID)) is None
        assert store.get(key_of(namespace, OTHER)) == data[OTHER]
    assert stores[-1].nearest(SCOPE, unit(1, 0), 5) == [(data[OTHER], pytest.approx(1.0))]
    assert stranger.get(key_of(f"{namespace}x", ID)) == b"theirs"
    assert stores[0].notes.remove(ID) == []


@pytest.mark.parametrize("name", ["", "*", "a", "[ab]", ID[:-1] + "*", ID.upper(), "x"])
def test_what_is_no_id_removes_nothing(
    make: Callable[..., Store], namespace: str, name: str
) -> None:
    store = make()
    store.put(Put(key_of(namespace, ID), b"kept", 60_000))
    assert store.notes.remove(name) == []
    assert store.get(key_of(namespace, ID)) == b"kept"


def test_what_others_wrote_there_is_not_read(
    redis_url: str, namespace: str, redis_server: RedisServer
) -> None:
    store = redis_store(redis_url, namespace)
    with redis_server.client() as client:
        client.zadd(f"aegis:v1:{namespace}:refused", {b"\xff\xfe": 1, b"": 2, b"?abc": 3})
        client.rpush(f"aegis:v1:{namespace}:labels", b"\xff", b"{}", b'["a",1]')
        client.hset(f"aegis:v1:{namespace}:counts", "right", "many")
        assert store.notes.pairs(0) == {}
        assert store.notes.labels()[0] == Counts()
        client.hset(f"aegis:v1:{namespace}:counts", "right", "3")
        own, _, log = store.notes.labels()
        assert (own, log) == (Counts(3), [])
        client.set(f"aegis:v1:{namespace}:foreign", "x")
        client.delete(f"aegis:v1:{namespace}:refused")
        client.set(f"aegis:v1:{namespace}:refused", "a text")
    with pytest.raises(StoreTrouble, match="foreign_value"):
        store.notes.pairs(0)
    store.close()


def test_clearing_the_namespace_forgets_no_refusal(make: Callable[..., Store]) -> None:
    store = make()
    store.notes.write({"1" * 32: "refused"}, [], NOW)
    store.clear()
    assert store.notes.pairs(0) == {"1" * 32: "refused"}


def test_redis_that_is_not_there_is_trouble(namespace: str) -> None:
    config = CacheConfig(redis_url="redis://127.0.0.1:1", namespace=namespace)
    store = RedisStore(config, None, DaemonPool("aegis-io", 2))
    calls: list[Callable[[], Any]] = [
        lambda: store.notes.pairs(0),
        store.notes.labels,
        lambda: store.notes.write({"1" * 32: "refused"}, [], NOW),
        lambda: store.notes.remove(ID),
    ]
    for call in calls:
        with pytest.raises(StoreTrouble, match="redis_down"):
            call()
    wiring.forget_all()
