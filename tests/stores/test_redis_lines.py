from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
import redis

from aegis_llm.stores.redis_clients import sync_client
from aegis_llm.stores.redis_lines import Lines
from tests.redis_server import RedisServer


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    with RedisServer(modules=False) as server:
        yield server


@pytest.fixture
def lines(own_server: RedisServer) -> Iterator[Lines]:
    client = sync_client(own_server.url, 0.2, 0.2)
    made = Lines(client)
    yield made
    made.close()
    client.close()


def _connections(server: RedisServer) -> int:
    with server.client() as client:
        return len(client.client_list()) - 1


def test_a_value_comes_back_as_it_was_sent(lines: Lines) -> None:
    lines.call("SET", "k", b"\x00\r\n\xff", "PX", 60000)
    assert lines.call("GET", "k") == b"\x00\r\n\xff"
    assert lines.call("GET", "absent") is None


def test_one_connection_serves_calls_that_follow_each_other(
    lines: Lines, own_server: RedisServer
) -> None:
    for _ in range(5):
        lines.call("PING")
    assert _connections(own_server) == 1


def test_a_refused_command_leaves_the_connection_usable(
    lines: Lines, own_server: RedisServer
) -> None:
    lines.call("LPUSH", "list", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lines.call("GET", "list")
    assert lines.call("PING") == b"PONG"
    assert _connections(own_server) == 1


def test_connections_that_the_server_closed_are_not_used_again(
    lines: Lines, own_server: RedisServer
) -> None:
    lines.call("PING")
    own_server.restart()
    assert lines.call("PING") == b"PONG"


def test_a_late_reply_is_never_taken_for_another_one(
    lines: Lines, own_server: RedisServer
) -> None:
    lines.call("SET", "first", "1")
    lines.call("SET", "second", "2")
    own_server.hang()
    with pytest.raises(redis.TimeoutError):
        lines.call("GET", "first")
    own_server.resume()
    assert lines.call("GET", "second") == b"2"


def test_a_dead_server_is_an_error_and_its_return_is_found(
    lines: Lines, own_server: RedisServer
) -> None:
    lines.call("PING")
    own_server.kill()
    with pytest.raises(redis.ConnectionError):
        lines.call("PING")
    own_server.start()
    assert lines.call("PING") == b"PONG"


def test_threads_never_read_the_replies_of_each_other(lines: Lines) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        for _ in range(50):
            reply = lines.call("ECHO", str(number))
            if reply != str(number).encode():
                wrong.append(reply)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_closed_lines_open_again(lines: Lines, own_server: RedisServer) -> None:
    lines.call("PING")
    lines.close()
    assert lines.call("PING") == b"PONG"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_opens_its_own_connection(lines: Lines, own_server: RedisServer) -> None:
    lines.call("PING")
    parent = lines.call("CLIENT", "ID")
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if lines.call("CLIENT", "ID") != parent else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert lines.call("CLIENT", "ID") == parent
