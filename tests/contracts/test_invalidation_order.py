"""Invalidations on a real Redis while something else happens: what is known then, and missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aegis_llm import events
from aegis_llm.stores.redis import RedisStore
from tests.contracts.invalidation_kit import NS, heard_by
from tests.contracts.kit import key_of, listens, redis_store, until
from tests.contracts.test_invalidation import D1, D2, named
from tests.redis_server import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of its own, whose subscribers may be disconnected."""
    with RedisServer() as server:
        yield server


def after(store: RedisStore, command: str, happens: Callable[[], object]) -> None:
    """Let something happen once, after Redis did a command and before its reply is read."""
    left = [happens]
    connect = store._admin

    def connected() -> Any:
        client = connect()
        plain = client.execute_command

        def execute(*given: Any, **options: Any) -> Any:
            reply = plain(*given, **options)
            if given[0] == command and left:
                left.pop()()
            return reply

        client.execute_command = execute
        return client

    store._admin = connected  # type: ignore[method-assign]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("another", [False, True], ids=["its own", "another one's"])
def test_a_listener_that_connects_meanwhile_has_missed_what_others_did(
    server: RedisServer, connected: Callable[..., Any], another: bool
) -> None:
    """It reads a number that this process does not know yet; its own is none that it missed."""
    store, elsewhere = connected(server.url), redis_store(server.url, NS)
    store.get("x")
    until(lambda: listens(store.store))
    channel = store.store._channel
    channel.url = "redis://127.0.0.1:1"
    with server.client() as client:
        client.client_kill_filter(_type="pubsub")
    until(lambda: not listens(store.store))
    ear = heard_by(store.store)

    def listen() -> None:
        if another:
            elsewhere.invalidate(D2)
        channel.url = server.url
        until(lambda: listens(store.store))

    after(store.store, "INCR", listen)
    store.invalidate(D1)
    missed = [events.Missed()] if another else []
    assert ear.heard == [*missed, events.Invalidated(D1)]
    elsewhere.close()


def test_an_invalidation_that_takes_longer_than_the_next_holds_back_none_of_its_answers(
    server: RedisServer, connected: Callable[..., Any]
) -> None:
    """Its number is the smaller one, and that it ends last makes it no newer."""
    store = connected(server.url)
    store.get("x")
    until(lambda: listens(store.store))
    after(store.store, "SET", lambda: store.store.invalidate(D2))
    store.invalidate(D1)
    assert store.store.numbers[1] == 2
    store.put(named(NS, "a", D2, sequence=store.store.numbers[1]))
    assert store.get(key_of(NS, "a")) == b"a"
