"""What every store promises about documents, tags and versions, in memory and in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aegis_llm import events
from aegis_llm.errors import StoreTrouble
from aegis_llm.names import names_of
from aegis_llm.plan import Put
from tests.contracts.kit import SCOPE, both, key_of, unit

Make = Callable[..., Any]
D1, D2, T1 = names_of(("d1",), ()), names_of(("d2",), ()), names_of((), ("d1",))


class Ear:
    """Notes the events that it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def hear(self, event: bytes) -> None:
        self.heard.append(events.decode(event))


def named(namespace: str, name: str, names: tuple[str, ...], **changes: Any) -> Put:
    """An entry of both tiers under some names."""
    put = both(namespace, name, unit(1, 0))
    return msgspec.structs.replace(put, names=names, **changes)


def left(store: Any, namespace: str, names: str) -> list[str]:
    """Which entries are left, in the exact tier and in the semantic one alike."""
    exact = [name for name in names if store.get(key_of(namespace, name)) is not None]
    near = sorted(data.decode() for data, _ in store.nearest(SCOPE, unit(1, 0), 9))
    assert exact == near
    return exact


def test_the_entries_of_a_document_are_removed_in_both_tiers(store: Any, namespace: str) -> None:
    for name, names in (("a", D1), ("b", D2), ("c", D1 + D2), ("d", ()), ("e", T1)):
        store.put(named(namespace, name, names))
    assert store.invalidate(D1) == 2
    assert left(store, namespace, "abcde") == ["b", "d", "e"]
    assert store.invalidate(D1) == 0
    assert store.invalidate(T1) == 1, "a tag of the same text is another name"
    assert store.invalidate(D1 + D2) == 1
    assert left(store, namespace, "abcde") == ["d"]


def test_every_embedders_vectors_go(make: Make, namespace: str) -> None:
    first, second = make(), make(embedding_id="another embedder")
    first.put(named(namespace, "a", D1))
    second.put(named(namespace, "b", D1))
    assert make(embedding_id="a third").invalidate(D1) == 2
    assert left(first, namespace, "a") == left(second, namespace, "b") == []


def test_an_entry_that_is_gone_is_not_counted(store: Any, namespace: str) -> None:
    store.put(named(namespace, "a", D1))
    store.delete(key_of(namespace, "a"))
    store.put(Put(key_of(namespace, "b"), b"b", 60_000, names=D1))
    assert store.invalidate(D1) in (1, 2), "the semantic part of a may be there"
    assert store.get(key_of(namespace, "b")) is None


def test_what_was_asked_for_before_is_not_stored(store: Any, namespace: str) -> None:
    store.put(named(namespace, "a", D1))
    before = store.store.numbers[1]
    store.invalidate(D1)
    for names in (D1, D2 + D1):
        with pytest.raises(StoreTrouble) as caught:
            store.put(named(namespace, "b", names, sequence=before))
        assert caught.value.reason == "invalidated"
    assert left(store, namespace, "ab") == []
    store.put(named(namespace, "c", D2, sequence=before))
    store.put(named(namespace, "d", D1, sequence=store.store.numbers[1]))
    assert left(store, namespace, "abcd") == ["c", "d"]


def test_what_is_stored_anew_can_be_removed_anew(store: Any, namespace: str) -> None:
    for _ in range(3):
        store.put(named(namespace, "a", D1, sequence=store.store.numbers[1]))
        assert store.invalidate(D1) == 1


def test_everything_is_a_new_version(make: Make, namespace: str) -> None:
    store, other = make(), make(namespace=f"{namespace}-other")
    for one in (store, other):
        one.get("x")
    first, others = store.store.numbers[0], other.store.numbers[0]
    second, third = store.renew(), store.renew()
    assert first < second < third
    assert (store.store.numbers[0], other.store.numbers[0]) == (third, others)


def test_whoever_subscribed_here_hears_at_once_and_is_not_kept_alive(make: Make) -> None:
    store, ear, deaf = make(), Ear(), Ear()
    store.store.subscribe(ear.hear)
    store.store.subscribe(deaf.hear)
    del deaf
    store.invalidate(D1)
    version = store.renew()
    store.store.publish(b'{"kind":"something new"}')
    assert ear.heard == [events.Invalidated(D1), events.Renewed(version), None]


def test_a_handler_that_fails_costs_the_others_nothing(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def hear(self, event: bytes) -> None:
            raise ZeroDivisionError

    store, broken, ear = make(), Broken(), Ear()
    store.store.subscribe(broken.hear)
    store.store.subscribe(ear.hear)
    store.invalidate(D1)
    assert ear.heard == [events.Invalidated(D1)]
    assert len(caplog.records) <= 1


@pytest.mark.parametrize(
    "junk", [b"", b"\xff", b"[]", b'{"kind":"unheard of"}', b'{"kind":"renewed"}', b'"x"']
)
def test_junk_is_no_event(junk: bytes) -> None:
    assert events.decode(junk) is None


@pytest.mark.parametrize("event", [events.Invalidated(D1), events.Renewed(3), events.Missed()])
def test_an_event_comes_back_as_it_was(event: events.Event) -> None:
    assert events.decode(events.encode(event)) == event
