"""Callers with different runner options, of both frameworks: one load, and no wrong key."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis as redis_client
from llama_index.core.llms import ChatMessage
from ollama import ResponseError

from aegis_llm import AegisConfig, scheduling
from aegis_llm.keys import edition_of, query_hash, request_from_body
from aegis_llm.testing import OllamaSimulator, Timing
from aegis_llm.values import Control
from langchain_aegis import ChatAegis
from llama_index.llms.aegis import AegisOllama

MODEL = "llama3.1:8b"
CONFIG = AegisConfig().with_options(
    redis_timeout_ms=5000, redis_connect_timeout_ms=5000, embed_timeout_ms=30_000
)


@pytest.fixture
def sim() -> Iterator[OllamaSimulator]:
    with OllamaSimulator([MODEL], num_parallel=4, timing=Timing(load=0.05)) as made:
        yield made


class Callers:
    """Models of both frameworks with runner options of their own."""

    def __init__(self, base_url: Any, redis_url: str, namespace: str) -> None:
        self.shared: dict[str, Any] = {
            "model": MODEL,
            "base_url": base_url,
            "redis_url": redis_url,
            "namespace": namespace,
            "aegis": CONFIG,
        }

    def chain(self, num_ctx: int | None = None, **given: Any) -> ChatAegis:
        kwargs = {"verify": False}
        return ChatAegis(**self.shared | given, num_ctx=num_ctx, client_kwargs=kwargs)

    def index(self, num_ctx: int | None = None, **given: Any) -> AegisOllama:
        return AegisOllama(**self.shared | given, context_window=num_ctx or -1)

    async def ask(self, way: str, num_ctx: int | None, text: str) -> None:
        """Ask in one of eight ways."""
        kind, _, name = way.partition(".")
        model: Any = self.chain(num_ctx) if kind == "chain" else self.index(num_ctx)
        asked = text if kind == "chain" else [ChatMessage(role="user", content=text)]
        match name:
            case "ainvoke" | "achat":
                await getattr(model, name)(asked)
            case "astream":
                _ = [chunk async for chunk in model.astream(asked)]
            case "astream_chat":
                _ = [chunk async for chunk in await model.astream_chat(asked)]
            case "stream" | "stream_chat":
                await asyncio.to_thread(lambda: list(getattr(model, name)(asked)))
            case _:
                await asyncio.to_thread(getattr(model, name), asked)


WAYS = [
    "chain.invoke", "chain.ainvoke", "chain.stream", "chain.astream",
    "index.chat", "index.achat", "index.stream_chat", "index.astream_chat",
]  # fmt: skip


@pytest.fixture
def callers(sim: OllamaSimulator, redis_url: str, namespace: str) -> Callers:
    made = Callers(sim.base_url, redis_url, namespace)
    known(made)
    return made


def known(callers: Callers) -> None:
    """Wait until the digests are known: else nothing is stored."""
    for model in (callers.chain(), callers.index()):
        service = model._cached_by
        server = (
            model._source.server if isinstance(model, ChatAegis) else model.server(awaited=True)
        )
        _, fetching = service.digests.look(server, MODEL)
        if fetching is not None:
            fetching.result(10)


def stored(callers: Callers) -> set[str]:
    """The hashes of all entries."""
    pattern = f"aegis:v1:{callers.shared['namespace']}:x:*"
    with redis_client.Redis.from_url(callers.shared["redis_url"]) as client:
        return {key.decode().split(":")[4] for key in client.scan_iter(pattern)}


def sent(callers: Callers, sim: OllamaSimulator) -> set[str]:
    """The hashes of the requests that the server received."""
    edition = edition_of(None, callers.chain()._cached_by.rules.state().version)
    return {
        query_hash(request_from_body(call.body), sim.digest(MODEL), Control(), edition)
        for call in sim.calls
        if call.path == "/api/chat"
    }


def contexts(*sims: OllamaSimulator) -> list[Any]:
    """The contexts of the requests that servers received."""
    calls = [call for sim in sims for call in sim.calls if call.path == "/api/chat"]
    return [call.body.get("options", {}).get("num_ctx") for call in calls]


@pytest.mark.parametrize("first", WAYS)
async def test_the_model_is_loaded_once_whoever_comes_first(
    callers: Callers, sim: OllamaSimulator, first: str
) -> None:
    await callers.ask(first, 4096, "The first one.")
    others = [2048, 8192, None, 16_384]
    for number, way in enumerate(WAYS):
        await callers.ask(way, others[number % 4], f"Number {number}?")
    assert sim.loads == 1
    assert len(stored(callers)) == 9
    assert stored(callers) == sent(callers, sim)


async def test_callers_that_come_all_at_once_make_one_load(
    callers: Callers, sim: OllamaSimulator
) -> None:
    own = [4096, 2048, 8192, 16_384]
    await asyncio.gather(
        *(callers.ask(way, own[n % 4], f"{way} {n}?") for n in range(12) for way in WAYS)
    )
    assert sim.loads == 1
    assert len(set(contexts(sim))) == 1


async def test_callers_without_a_context_follow_the_first_that_has_one(
    callers: Callers, sim: OllamaSimulator
) -> None:
    own = [None, 2048, 8192, None]
    for number in range(16):
        await callers.ask(WAYS[number % 8], own[number % 4], f"Number {number}?")
    assert sim.loads <= 2
    assert contexts(sim) == [None] + [2048] * 15


def test_no_entry_is_stored_under_options_that_it_was_not_made_with(
    callers: Callers, sim: OllamaSimulator
) -> None:
    """Long prompts change meanwhile what the others get."""
    turns = random.Random(7)
    asked = [
        (way, turns.choice([2048, 4096, 8192, None]), turns.choice([10, 10, 10, 9_000, 20_000]))
        for _ in range(12)
        for way in WAYS
    ]

    def one(entry: tuple[int, tuple[str, int | None, int]]) -> None:
        number, (way, num_ctx, size) = entry
        asyncio.run(callers.ask(way, num_ctx, f"{number}? " + "x" * size))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(one, enumerate(asked)))
    assert len(set(contexts(sim))) >= 2
    assert len(stored(callers)) == len(asked)
    assert stored(callers) == sent(callers, sim)


def test_a_long_prompt_loads_the_model_anew_once_and_the_others_follow(
    callers: Callers, sim: OllamaSimulator
) -> None:
    small, large = callers.chain(2048), callers.index(16_384)
    for number in range(4):
        small.invoke(f"Number {number}?")
    large.complete("x" * 20_000)
    for number in range(4):
        small.invoke(f"Letter {number}?")
        large.complete(f"Ship {number}?")
    assert sim.loads == 2


def test_text_of_many_bytes_is_longer_than_it_looks(
    callers: Callers, sim: OllamaSimulator
) -> None:
    """A Chinese character is about a token."""
    callers.chain(2048).invoke("Number 1?")
    callers.chain(8192).invoke("数" * 500)
    assert contexts(sim) == [2048, 8192]


def test_who_insists_gets_its_own(callers: Callers, sim: OllamaSimulator) -> None:
    callers.chain(2048).invoke("Number 1?")
    with scheduling(insist=True):
        callers.chain(4096).invoke("Number 2?")
    callers.chain(2048).invoke("Number 3?")
    off = CONFIG.with_options(normalise_options=False)
    callers.chain(2048, aegis=off).invoke("Number 4?")
    assert contexts(sim) == [2048, 4096, 4096, 2048]


def test_explaining_agrees_nothing(callers: Callers, sim: OllamaSimulator) -> None:
    callers.chain(2048).explain("Number 1?")
    callers.index(8192).explain("Number 1?")
    callers.chain(4096).invoke("Number 1?")
    assert contexts(sim) == [4096]


def test_what_is_changed_is_said_once(
    callers: Callers, sim: OllamaSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    callers.chain(4096).invoke("Number 1?")
    for number in range(4):
        callers.chain(2048 + number).invoke(f"Letter {number}?")
    (said,) = [line for line in caplog.messages if "anew" in line]
    assert (
        f"{sim.base_url} load {MODEL} anew; it is sent with num_ctx=4096 in place of 2048" in said
    )


@pytest.mark.parametrize("status", [500, 400])
def test_options_that_the_server_fails_are_not_given_to_others(
    callers: Callers, sim: OllamaSimulator, status: int
) -> None:
    """Too large a context for the memory is the trouble of who asked for it."""
    sim.faults.status(status, {"error": "unable to load model"})
    with pytest.raises(ResponseError):
        callers.chain(131_072).invoke("Number 1?")
    callers.index(4096).complete("Number 2?")
    assert sim.calls[-1].body["options"]["num_ctx"] == 4096


def test_what_no_server_takes_harms_nobody_else(callers: Callers, sim: OllamaSimulator) -> None:
    bad = AegisOllama(**callers.shared, additional_kwargs={"num_ctx": "4096"})
    with pytest.raises(ResponseError, match="num_ctx"):
        bad.complete("Number 1?")
    callers.index(2048).complete("Number 2?")
    callers.chain(4096).invoke("Number 3?")
    with pytest.raises(ResponseError, match="num_ctx"):
        bad.complete("Number 4?")
    callers.chain(4096).invoke("Number 5?")
    assert contexts(sim) == ["4096", 2048, 2048, "4096", 2048]
    assert len(stored(callers)) == 3


def test_callers_of_several_servers_and_of_one_of_them_share_theirs(
    sim: OllamaSimulator, redis_url: str, namespace: str
) -> None:
    with OllamaSimulator([MODEL], timing=Timing(load=0.05)) as other:
        both = [sim.base_url, other.base_url]
        lists = (other.base_url, both[::-1], sim.base_url, both)
        for number, num_ctx in enumerate((2048, 4096, 8192, None)):
            callers = Callers(lists[number], redis_url, namespace)
            for turn in range(4):
                callers.chain(num_ctx).invoke(f"Number {number} {turn}?")
                callers.index(num_ctx).complete(f"Letter {number} {turn}?")
        assert sim.loads <= 1
        assert other.loads == 1
        assert contexts(sim, other) == [2048] * 32
