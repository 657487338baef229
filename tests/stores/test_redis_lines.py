from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from aegis_llm.stores.redis_clients import async_client, sync_client
from aegis_llm.stores.redis_lines import AsyncLines, Lines, transaction
from tests.redis_server import RedisServer


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    with RedisServer(modules=False) as server:
        yield server


@pytest.fixture
def lines(own_server: RedisServer) -> Iterator[Lines]:
    client = sync_client(own_server.url, 0.2, 0.2)
    made = Lines(client, direct=True)
    yield made
    made.close()


@pytest.fixture
async def alines(own_server: RedisServer) -> AsyncIterator[AsyncLines]:
    made = AsyncLines(async_client(own_server.url), direct=True)
    yield made
    await made.aclose()


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


def test_commands_of_one_message_are_answered_in_order(lines: Lines) -> None:
    replies = lines.calls(("SET", "a", "1"), ("GET", "a"), ("GET", "absent"))
    assert replies[1:] == [b"1", None]


def test_a_transaction_with_a_refused_command_stores_nothing_and_says_so(lines: Lines) -> None:
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        lines.calls(*transaction([("SET", "a", "1"), ("HSET", "b")]))
    assert lines.call("EXISTS", "a", "b") == 0


def test_a_command_that_fails_inside_a_transaction_is_an_error(lines: Lines) -> None:
    lines.call("LPUSH", "list", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        lines.calls(*transaction([("SET", "a", "1"), ("HSET", "list", "field", "1")]))
    assert lines.call("PING") == b"PONG"


def test_a_message_cut_off_by_a_hung_server_leaves_nothing_behind(
    lines: Lines, own_server: RedisServer
) -> None:
    lines.call("PING")
    own_server.hang()
    with pytest.raises(redis.TimeoutError):
        lines.calls(("ECHO", "one"), ("ECHO", "two"))
    own_server.resume()
    assert lines.call("ECHO", "three") == b"three"


async def test_awaited_calls_share_idle_connections(
    alines: AsyncLines, own_server: RedisServer
) -> None:
    assert not alines.connected
    for _ in range(5):
        assert await alines.call("PING") == b"PONG"
    assert alines.connected
    assert _connections(own_server) == 1


async def test_awaited_calls_at_once_never_read_the_replies_of_each_other(
    alines: AsyncLines,
) -> None:
    replies = await asyncio.gather(*(alines.call("ECHO", str(n)) for n in range(64)))
    assert replies == [str(n).encode() for n in range(64)]


async def test_the_reply_to_a_cancelled_call_is_never_taken_for_another_one(
    alines: AsyncLines, own_server: RedisServer
) -> None:
    await alines.call("PING")
    own_server.hang()
    call = asyncio.create_task(alines.call("ECHO", "first"))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    own_server.resume()
    assert await alines.call("ECHO", "second") == b"second"


async def test_awaited_connections_that_the_server_closed_are_not_used_again(
    alines: AsyncLines, own_server: RedisServer
) -> None:
    await alines.call("PING")
    await asyncio.to_thread(own_server.restart)
    assert await alines.call("PING") == b"PONG"
    assert await alines.calls(("ECHO", "a"), ("ECHO", "b")) == [b"a", b"b"]


async def test_an_awaited_refusal_leaves_the_connection_usable(
    alines: AsyncLines, own_server: RedisServer
) -> None:
    await alines.call("LPUSH", "list", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        await alines.call("GET", "list")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        await alines.calls(*transaction([("SET", "a", "1"), ("HSET", "b")]))
    assert await alines.call("EXISTS", "a") == 0
    assert _connections(own_server) == 1
