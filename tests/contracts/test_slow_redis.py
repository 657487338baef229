"""A Redis that answers late, or is none, is left alone after three replies."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from aegis_llm.errors import StoreTrouble
from aegis_llm.stores.redis import RedisStore
from tests.contracts.kit import redis_store

Call = Callable[[RedisStore], bytes | None]


def blocking(store: RedisStore) -> bytes | None:
    return store.get("k")


def awaited(store: RedisStore) -> bytes | None:
    async def main() -> bytes | None:
        try:
            return await store.aget("k")
        finally:
            await store.aclose()

    return asyncio.run(main())


both = pytest.mark.parametrize("call", [blocking, awaited])


class Peer:
    """Answers each message after `delay_s` with `reply`."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.delay_s = 0.0
        self.reply = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except OSError:
            return

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    time.sleep(self.delay_s)
                    connection.sendall(
                        self.reply or (b"+PONG\r\n" if b"PING" in data else b"$-1\r\n")
                    )
            except OSError:
                return


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.listener.close()


@both
def test_one_that_answers_late_every_time_is_left_alone(peer: Peer, call: Call) -> None:
    store = redis_store(peer.url, "slow", redis_timeout_ms=400.0, redis_connect_timeout_ms=1.0)
    store.ready(5)
    peer.delay_s = 0.3
    for _ in range(3):
        assert call(store) is None
    with pytest.raises(StoreTrouble, match=r"^redis_breaker_open$"):
        call(store)
    assert store.link._probe() is None
    assert store.link.is_open, "a late probe closed it"
    peer.delay_s = 0.0
    store.link._probe()
    assert call(store) is None
    store.close()


@both
def test_a_port_that_speaks_another_protocol_is_left_alone(peer: Peer, call: Call) -> None:
    peer.reply = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    store = redis_store(peer.url, "other")
    said = []
    for _ in range(4):
        with pytest.raises(StoreTrouble) as caught:
            call(store)
        said.append(caught.value.reason)
    assert said[-1] == "redis_breaker_open"
    assert "redis_breaker_open" not in said[:3]


def test_a_resolver_that_hangs_holds_nobody_up(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = redis_store(
        peer.url.replace("127.0.0.1", "localhost"),
        "named",
        redis_timeout_ms=100.0,
        redis_connect_timeout_ms=100.0,
    )
    store.ready(5)
    end = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait(20) and [])
    for _ in range(3):
        with pytest.raises(StoreTrouble, match=r"^redis_timeout$"):
            store.get("k")
    with pytest.raises(StoreTrouble, match=r"^redis_breaker_open$"):
        store.get("k")
    end.set()
