"""The stand-ins for Ollama's clients, against a server that fails in all its ways."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from ollama import ResponseError

from aegis_llm import scheduled_client
from aegis_llm.scheduler import read_ahead, sending
from aegis_llm.scheduling import scheduling
from aegis_llm.testing import OllamaSimulator
from tests.races.asking_kit import BODY, LONG, MODEL, Asking
from tests.races.kit import auntil, cancelled, done, run, start, until
from tests.races.queue_kit import apasses, flying, nothing_is_left, passes

WAYS = [(kind, stream) for kind in ("blocking", "awaited") for stream in (False, True)]
every_way = pytest.mark.parametrize(("kind", "stream"), WAYS)


@pytest.fixture
def nowhere() -> Iterator[str]:
    """The address of a server that is not there, and whose port nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def asking(ollama: OllamaSimulator, pauses: list[float]) -> Iterator[Asking]:
    """Clients of the session's server, which has one slot; nothing may be left in its queue."""
    made = Asking(ollama.base_url)
    yield made
    nothing_is_left(made.queues[0])


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between tries, which take no time."""
    made: list[float] = []

    def pause_after(attempt: int, random: float) -> float:
        made.append(pause(attempt, random))
        return 0.001

    pause = sending.pause_after
    monkeypatch.setattr(sending, "pause_after", pause_after)
    return made


FAILURES: dict[str, Callable[[Any], None]] = {
    "it is busy": lambda faults: faults.status(503, {"error": "busy"}, n=2),
    "it resets the connection": lambda faults: faults.reset(after=0, n=2),
}


@every_way
@pytest.mark.parametrize("failure", FAILURES)
def test_a_server_that_has_no_time_is_asked_again(
    asking: Asking, ollama: OllamaSimulator, pauses: list[float],
    kind: str, stream: bool, failure: str,
) -> None:  # fmt: skip
    FAILURES[failure](ollama.faults)
    assert asking.ask(kind, stream)
    assert asking.tries == ollama.count("/api/chat") == 3
    assert 0.05 <= pauses[0] <= 0.1 <= pauses[1] <= 0.2


@every_way
@pytest.mark.parametrize("status", [400, 404, 500])
def test_an_error_of_the_request_is_final(
    asking: Asking, ollama: OllamaSimulator, kind: str, stream: bool, status: int
) -> None:
    ollama.faults.status(status, {"error": "no"})
    with pytest.raises(ResponseError, match="no") as caught:
        asking.ask(kind, stream)
    assert caught.value.status_code == status
    assert asking.tries == 1


@every_way
@pytest.mark.parametrize("retries", [0, 2])
def test_a_server_that_is_not_there_is_tried_as_often_as_the_settings_say(
    nowhere: str, pauses: list[float], kind: str, stream: bool, retries: int
) -> None:
    asking = Asking(nowhere, retries=retries)
    with pytest.raises((ConnectionError, httpx.ConnectError)):
        asking.ask(kind, stream)
    assert (asking.tries, len(pauses)) == (retries + 1, retries)
    nothing_is_left(asking.queues[0])


@every_way
def test_no_further_try_is_made_beyond_the_deadline(
    asking: Asking, ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch,
    kind: str, stream: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(sending, "pause_after", lambda *_: 100.0)
    ollama.faults.status(503, {"error": "busy"})
    with scheduling(deadline_s=50.0), pytest.raises(ResponseError, match="busy"):
        asking.ask(kind, stream)
    assert asking.tries == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.UnsupportedProtocol, KeyError])
def test_what_no_other_try_can_help_is_raised_at_once(
    asking: Asking, stream: bool, error: type[Exception]
) -> None:
    def chat(**_: Any) -> Any:
        asking.tries += 1
        raise error("no")

    asking.clients[0].chat = chat
    with pytest.raises(error):
        asking.ask("blocking", stream)
    assert asking.tries == 1


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
@pytest.mark.parametrize("failure", ["reset", "midstream_error", "no_done"])
def test_a_stream_that_has_begun_is_not_asked_for_again(
    asking: Asking, ollama: OllamaSimulator, kind: str, failure: str
) -> None:
    plain = asking.ask(kind, stream=True)
    more = {"text": "broken"} if failure == "midstream_error" else {}
    getattr(ollama.faults, failure)(after=3, **more)
    text, count = "", 0

    async def aread() -> None:
        nonlocal text, count
        async for part in await asking.awaited.chat(**BODY, stream=True):
            text, count = text + part.message.content, count + 1

    def read() -> None:
        nonlocal text, count
        for part in asking.blocking.chat(**BODY, stream=True):
            text, count = text + part.message.content, count + 1

    errors = (ResponseError, httpx.TransportError)
    failing = contextlib.nullcontext() if failure == "no_done" else pytest.raises(errors)
    with failing:
        asyncio.run(aread()) if kind == "awaited" else read()
    assert count == 3
    assert plain.startswith(text)
    assert asking.tries == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_task_that_is_cancelled_between_two_tries(
    asking: Asking, ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(sending, "pause_after", lambda *_: 1000.0)
    ollama.faults.status(503)
    queue = asking.queues[0]

    async def scenario() -> None:
        task = asyncio.create_task(asking.aask(stream))
        await auntil(lambda: asking.tries and queue.busy == 0)
        await apasses(queue, MODEL)  # the pause holds no slot
        await cancelled(task)

    run(scenario)
    assert asking.tries == 1


@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_between_two_tries(
    asking: Asking, ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    def interrupted(_: float) -> None:
        passes(asking.queues[0], MODEL)
        raise KeyboardInterrupt

    ollama.faults.status(503)
    with monkeypatch.context() as patched:
        patched.setattr(scheduled_client.time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            asking.ask("blocking", stream)


@pytest.mark.parametrize("stream", [False, True])
def test_a_task_that_is_cancelled_while_the_server_works(
    asking: Asking, ollama: OllamaSimulator, stream: bool
) -> None:
    ollama.gate.clear()

    async def scenario() -> None:
        task = asyncio.create_task(asking.aask(stream))
        await auntil(lambda: ollama.in_flight == 1)
        waits = asyncio.create_task(apasses(asking.queues[0], MODEL))
        await cancelled(task)
        await waits
        await auntil(lambda: ollama.in_flight == 0)

    run(scenario)
    assert asking.tries == 1


@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_while_the_server_works(asking: Asking, stream: bool) -> None:
    def interrupted(**_: Any) -> Any:
        raise KeyboardInterrupt

    asking.clients[0].chat = interrupted
    with pytest.raises(KeyboardInterrupt):
        asking.ask("blocking", stream)
    assert asking.queues[0].busy == 0


@every_way
def test_messages_that_can_be_read_once_only_are_sent_whole(
    asking: Asking, ollama: OllamaSimulator, kind: str, stream: bool
) -> None:
    ollama.faults.status(503)
    assert asking.ask(kind, stream, messages=iter([LONG]))
    sent = [call.body["messages"] for call in ollama.calls if call.path == "/api/chat"]
    assert sent == [[LONG], [LONG]]


@every_way
def test_a_body_that_the_queue_cannot_read_is_sent(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, kind: str, stream: bool
) -> None:
    def unreadable(_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(scheduled_client, "prefix_of_body", unreadable)
    assert asking.ask(kind, stream)


@pytest.mark.parametrize(
    "times",
    [{}, {"total_duration": None}, {"total_duration": "long"}, {"total_duration": 10**400},
     {"total_duration": 5, "prompt_eval_count": "many", "eval_count": [], "eval_duration": -1},
     {"total_duration": float("nan"), "eval_count": 10**400}],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_replies_that_say_nothing_or_nonsense_of_their_times(
    asking: Asking, stream: bool, times: dict[str, Any], caplog: Any
) -> None:
    last = {"done": True, "message": {"content": "x"}, **times}

    def chat(**_: Any) -> Any:
        return iter([{"done": False}, last]) if stream else last

    asking.clients[0].chat = chat
    for _ in range(3):
        answer = asking.blocking.chat(**BODY, stream=stream)
        assert (list(answer)[-1] if stream else answer) == last
    assert caplog.records == []


def test_a_stream_without_a_part_ends(asking: Asking) -> None:
    asking.clients[0].chat = lambda **_: iter(())
    assert list(asking.blocking.chat(**BODY, stream=True)) == []


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("hangs", [False, True])
def test_a_stream_that_is_left_early_stops_the_server(
    asking: Asking, ollama: OllamaSimulator, monkeypatch: pytest.MonkeyPatch,
    kind: str, others: bool, hangs: bool,
) -> None:  # fmt: skip
    """Also one that says nothing at that moment, while others have it read ahead."""
    buffers, keep = [], read_ahead._Buffer.got

    def kept(self: Any, item: Any) -> None:
        keep(self, item)
        buffers.append(self)

    def in_the_midst() -> bool:
        """Return whether somebody waits for what the server does not say."""
        return not (others and hangs) or (len(buffers) == 1 and buffers[0].pulling)

    monkeypatch.setattr(read_ahead._Buffer, "got", kept)
    queue = asking.queues[0]
    if hangs:
        ollama.faults.hang(after=2)

    async def awaited() -> None:
        parts = await asking.awaited.chat(**BODY, stream=True)
        await anext(parts)
        waits = asyncio.create_task(apasses(queue, MODEL)) if others else None
        await auntil(in_the_midst)
        await parts.aclose()
        await auntil(lambda: ollama.in_flight == 0)
        if waits is not None:
            await waits

    def blocking() -> None:
        parts = asking.blocking.chat(**BODY, stream=True)
        next(parts)
        waits = [start(partial(passes, queue, MODEL))] if others else []
        until(in_the_midst)
        parts.close()
        until(lambda: ollama.in_flight == 0)
        done(waits)

    run(awaited) if kind == "awaited" else blocking()
    assert flying(queue) == 0


def test_a_stream_that_is_broken_off_by_an_error_of_its_reader_stops_the_server(
    asking: Asking, ollama: OllamaSimulator
) -> None:
    ollama.faults.hang(after=2)
    parts = asking.blocking.chat(**BODY, stream=True)
    next(parts)
    with pytest.raises(KeyboardInterrupt) as caught:
        parts.throw(KeyboardInterrupt)
    until(lambda: ollama.in_flight == 0)
    assert asking.queues[0].busy == 0
    assert caught.traceback  # it keeps the stream from being collected


def test_a_loop_that_ends_with_an_unread_stream_stops_the_server(
    asking: Asking, ollama: OllamaSimulator
) -> None:
    left = []

    async def main() -> None:
        left.append(await asking.awaited.chat(**BODY, stream=True))
        await anext(left[0])

    start(lambda: asyncio.run(main())).result(30)
    passes(asking.queues[0], MODEL)
    until(lambda: ollama.in_flight == 0)


def test_of_two_servers_the_other_answers(
    ollama: OllamaSimulator, nowhere: str, pauses: list[float]
) -> None:
    for kind, stream in WAYS:
        asking = Asking(nowhere, ollama.base_url)
        assert all(asking.ask(kind, stream) for _ in range(3))
        for queue in asking.queues:
            nothing_is_left(queue)
    assert pauses == []
