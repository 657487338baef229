"""Calls made while a stream of the same model is being read, on a server with one slot.

Both frameworks, blocking and awaited, cached and not: each must be answered, the stream whole.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from llama_index.core.async_utils import asyncio_run
from llama_index.core.llms import ChatMessage

from aegis_llm import AegisConfig
from aegis_llm.control import cache_control
from aegis_llm.scheduler import dispatch
from aegis_llm.scheduler.dispatch import Dispatcher
from aegis_llm.scheduler.registry import QUEUES, address
from aegis_llm.testing import OllamaSimulator
from langchain_aegis import ChatAegis
from llama_index.llms.aegis import AegisOllama
from tests.races.kit import auntil, cancelled, done, run, start, until
from tests.races.queue_kit import nothing_is_left, waiting

SHORT = 6  # chunks of an answer
QUESTION = "How long may a kettle be returned?"
numbers = count()


@pytest.fixture(params=["cached", "bypassed"])
def bypass(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Streams are shared by the cache's readers, or come straight from the client."""
    bypassed = request.param == "bypassed"
    with cache_control(bypass=bypassed):
        yield bypassed


@pytest.fixture
def queue(ollama: OllamaSimulator) -> Iterator[Callable[[], Dispatcher]]:
    """Gives the queue of the server; no request may be left in it."""

    def known() -> Dispatcher:
        return QUEUES._dispatchers[address(ollama.base_url)]

    yield known
    until(lambda: ollama.in_flight == 0)
    nothing_is_left(known())
    assert ollama.count("/api/chat") > 0


CONFIG = AegisConfig().with_options(num_parallel=1, redis_url="memory://", single_flight=False)


@pytest.fixture
def chat(ollama: OllamaSimulator) -> Iterator[ChatAegis]:
    """LangChain's model."""
    made = ChatAegis(
        model="llama3.1:8b", base_url=ollama.base_url, aegis=CONFIG, num_predict=SHORT
    )
    yield made
    made._client._client.close()


@pytest.fixture
def llama(ollama: OllamaSimulator) -> Iterator[AegisOllama]:
    """LlamaIndex's model."""
    short = {"num_predict": SHORT}
    made = AegisOllama(
        model="llama3.1:8b", base_url=ollama.base_url, aegis=CONFIG, additional_kwargs=short
    )
    yield made
    made.client.close()


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each client the loading of certificates; find out soon that a loop is blocked."""
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)
    monkeypatch.setattr(dispatch, "PATIENCE_S", 0.1)
    monkeypatch.setattr(dispatch, "GRACE_S", 0.1)


pytestmark = pytest.mark.usefixtures("_quick", "queue")


def another() -> str:
    """A question that nobody asked before."""
    return f"{QUESTION} And kettle number {next(numbers)}?"


def messages(text: str) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


@pytest.mark.usefixtures("bypass")
def test_langchain_invoke_in_the_loop_over_stream(chat: ChatAegis) -> None:
    text = ""
    for chunk in chat.stream(QUESTION):
        text += str(chunk.content)
        assert chat.invoke(another()).content
    assert text == chat.invoke(QUESTION).content


@pytest.mark.usefixtures("bypass")
@pytest.mark.parametrize("nested", ["invoke", "ainvoke", "stream", "astream", "in a thread"])
def test_langchain_calls_in_the_loop_over_astream(chat: ChatAegis, nested: str) -> None:
    async def call() -> str:
        if nested == "invoke":
            return str(chat.invoke(another()).content)
        if nested == "ainvoke":
            return str((await chat.ainvoke(another())).content)
        if nested == "stream":
            return "".join(str(part.content) for part in chat.stream(another()))
        if nested == "astream":
            return "".join([str(part.content) async for part in chat.astream(another())])
        return str((await asyncio.to_thread(chat.invoke, another())).content)

    async def scenario() -> str:
        text = ""
        async for chunk in chat.astream(QUESTION):
            text += str(chunk.content)
            assert await call()
        return text

    assert run(scenario) == chat.invoke(QUESTION).content


class Asking(BaseCallbackHandler):
    """Calls the model again at each token."""

    raise_error = True

    def __init__(self, chat: ChatAegis) -> None:
        self.chat = chat
        self.answers: list[str] = []

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.answers.append(str(self.chat.invoke(another()).content))


class AskingAwaited(AsyncCallbackHandler):
    """Like `Asking`, awaited."""

    raise_error = True

    def __init__(self, chat: ChatAegis) -> None:
        self.chat = chat
        self.answers: list[str] = []

    async def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.answers.append(str((await self.chat.ainvoke(another())).content))


@pytest.mark.usefixtures("bypass")
@pytest.mark.parametrize(
    ("handler", "way"),
    [(Asking, way) for way in ("stream", "invoke", "astream", "ainvoke")]
    + [(AskingAwaited, way) for way in ("astream", "ainvoke")],
)
def test_langchain_callbacks_that_call_the_model(
    chat: ChatAegis, handler: type[Asking | AskingAwaited], way: str
) -> None:
    asking = handler(chat)
    config: Any = {"callbacks": [asking]}

    async def astream() -> str:
        return "".join([str(c.content) async for c in chat.astream(QUESTION, config)])

    async def ainvoke() -> str:
        return str((await chat.ainvoke(QUESTION, config)).content)

    if way == "stream":
        text = "".join(str(c.content) for c in chat.stream(QUESTION, config))
    elif way == "invoke":
        text = str(chat.invoke(QUESTION, config).content)
    else:
        text = run(astream if way == "astream" else ainvoke)
    assert asking.answers
    assert all(asking.answers)
    assert text == chat.invoke(QUESTION).content


@pytest.mark.usefixtures("bypass")
def test_llama_index_chat_in_the_loop_over_stream_chat(llama: AegisOllama) -> None:
    text = ""
    for chunk in llama.stream_chat(messages(QUESTION)):
        text += chunk.delta or ""
        assert llama.chat(messages(another())).message.content
    assert text == llama.chat(messages(QUESTION)).message.content


@pytest.mark.usefixtures("bypass")
@pytest.mark.parametrize("nested", ["chat", "achat", "astream_chat", "asyncio_run"])
def test_llama_index_calls_in_the_loop_over_astream_chat(llama: AegisOllama, nested: str) -> None:
    async def call() -> str | None:
        asked = messages(another())
        if nested == "chat":
            return llama.chat(asked).message.content
        if nested == "achat":
            return (await llama.achat(asked)).message.content
        if nested == "asyncio_run":  # blocks this loop until a thread of its own is done
            return asyncio_run(llama.achat(asked)).message.content
        return "".join([part.delta or "" async for part in await llama.astream_chat(asked)])

    async def scenario() -> str:
        text, calls = "", 0
        async for chunk in await llama.astream_chat(messages(QUESTION)):
            text += chunk.delta or ""
            calls += 1
            if nested != "asyncio_run" or calls == 1:
                assert await call()
        return text

    assert run(scenario) == llama.chat(messages(QUESTION)).message.content
    # `asyncio_run` closes its loop only; the connection is closed when the next loop asks.
    assert run(lambda: llama.achat(messages(another())))


@pytest.mark.parametrize("follower", ["a task", "a thread"])
def test_who_follows_a_call_that_is_cancelled_in_the_queue_takes_its_place(
    ollama: OllamaSimulator, queue: Callable[[], Dispatcher], follower: str
) -> None:
    config = AegisConfig().with_options(num_parallel=1, redis_url="memory://")
    chat = ChatAegis(model="llama3.1:8b", base_url=ollama.base_url, aegis=config)
    flights = chat._answering.service.flights
    ollama.gate.clear()

    async def scenario() -> None:
        busy = asyncio.create_task(chat.ainvoke("Something else?"))
        await auntil(lambda: ollama.in_flight == 1)
        leader = asyncio.create_task(chat.ainvoke(QUESTION))
        await auntil(lambda: waiting(queue()) == 1)
        if follower == "a thread":
            follows: Any = asyncio.wrap_future(start(partial(chat.invoke, QUESTION)))
        else:
            follows = asyncio.create_task(chat.ainvoke(QUESTION))
        await auntil(lambda: any(flight.waiters for flight in flights._flights.values()))
        await cancelled(leader)
        await auntil(lambda: waiting(queue()) == 1)
        ollama.gate.set()
        assert (await follows).content
        await busy

    run(scenario)
    assert len(flights) == 0
    chat._client._client.close()


@pytest.mark.usefixtures("bypass")
@pytest.mark.parametrize("read", [1, 3])
def test_streams_left_early_free_the_slot_and_stop_the_server(
    chat: ChatAegis, llama: AegisOllama, ollama: OllamaSimulator, read: int
) -> None:
    def blocking() -> None:
        for chunks in (chat.stream(another()), llama.stream_chat(messages(another()))):
            for _ in range(read):
                next(chunks)
            chunks.close()  # type: ignore[attr-defined]
            until(lambda: ollama.in_flight == 0)
            assert chat.invoke(another()).content

    async def awaited() -> None:
        for chunks in (chat.astream(another()), await llama.astream_chat(messages(another()))):
            for _ in range(read):
                await anext(chunks)
            await chunks.aclose()  # type: ignore[attr-defined]
            await auntil(lambda: ollama.in_flight == 0)
            assert (await chat.ainvoke(another())).content

    blocking()
    run(awaited)


@pytest.mark.usefixtures("bypass")
def test_unread_streams_of_both_frameworks_let_everybody_through(
    chat: ChatAegis, llama: AegisOllama, ollama: OllamaSimulator
) -> None:
    first = chat.stream(QUESTION)
    text = str(next(first).content)
    second = llama.stream_chat(messages(QUESTION))
    other = next(second).delta or ""
    calls: list[Callable[[], Any]] = [
        lambda: chat.invoke(another()).content,
        lambda: llama.chat(messages(another())).message.content,
        partial(run, lambda: chat.ainvoke(another())),
        partial(run, lambda: llama.achat(messages(another()))),
    ]
    assert all(done([start(call) for call in calls * 3]))
    assert ollama.peak_in_flight == 1
    text += "".join(str(chunk.content) for chunk in first)
    other += "".join(chunk.delta or "" for chunk in second)
    assert text == other == chat.invoke(QUESTION).content
