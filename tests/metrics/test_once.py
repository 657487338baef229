"""Every request counts exactly once: streams that are left or fail late, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from aegis_llm import NotCachedError, cache_control
from aegis_llm.answering import Answering
from aegis_llm.metrics import snapshot
from aegis_llm.metrics.registry import METRICS, Call
from aegis_llm.values import Answer
from tests.metrics.kit import ANSWER, answering, ask, call


def counted() -> dict[str, int]:
    """Return how often each outcome, or each reason of a failure, was counted."""
    told = snapshot().requests
    return {r.reason if r.outcome == "failed" else r.outcome: r.count for r in told}


def whole(chunks: list[str]) -> list[Answer]:
    return [ANSWER] if chunks[-1:] == ["c"] else []


def stream(cache: Answering, upstream: Any = lambda: iter("abc")) -> Generator[str, None, None]:
    return cache.stream(cache.service.open(ask(), stream="x"), upstream, whole)


async def astream(cache: Answering, upstream: Any) -> AsyncGenerator[str, None]:
    return cache.astream(await cache.service.aopen(ask(), stream="x"), upstream, whole)


async def abc() -> AsyncIterator[str]:
    for chunk in "abc":
        await asyncio.sleep(0)
        yield chunk


def test_a_stream_left_after_its_last_chunk_was_answered() -> None:
    cache = answering()
    chunks = stream(cache)
    assert [next(chunks) for _ in range(3)] == ["a", "b", "c"]
    chunks.close()
    assert counted() == {"miss": 1}
    assert call(cache, ask()) == "hit_local"  # and stored


def test_a_stream_whose_answer_cannot_be_stored_was_answered_all_the_same() -> None:
    cache = answering()
    assert len(list(stream(cache, lambda: iter("ab")))) == 2
    assert counted() == {"miss": 1}
    assert snapshot().not_stored == {"empty_answer": 1}


async def test_an_awaited_stream_whose_answer_cannot_be_stored_was_answered_too() -> None:
    async def upstream() -> AsyncIterator[str]:
        yield "a"

    assert [chunk async for chunk in await astream(answering(), upstream)] == ["a"]
    assert counted() == {"miss": 1}


async def test_an_awaited_stream_left_after_its_last_chunk_was_answered() -> None:
    cache = answering()
    chunks = await astream(cache, abc)
    assert [await anext(chunks) for _ in range(3)] == ["a", "b", "c"]
    await chunks.aclose()
    assert counted() == {"miss": 1}


@pytest.mark.parametrize("leaves", ["leader", "follower"])
def test_a_reader_that_leaves_counts_and_so_does_the_one_that_stays(leaves: str) -> None:
    cache = answering()
    leader = stream(cache)
    next(leader)
    follower = stream(cache)
    next(follower)
    leaving, staying = (leader, follower) if leaves == "leader" else (follower, leader)
    leaving.close()
    assert [*staying] == ["b", "c"]
    assert counted() == {"given_up": 1, "coalesced" if leaves == "leader" else "miss": 1}


@pytest.mark.parametrize("leaves", ["leader", "follower"])
async def test_an_awaited_reader_that_leaves_counts_too(leaves: str) -> None:
    cache = answering()
    leader = await astream(cache, abc)
    await anext(leader)
    follower = await astream(cache, abc)
    await anext(follower)
    leaving, staying = (leader, follower) if leaves == "leader" else (follower, leader)
    await leaving.aclose()
    assert [chunk async for chunk in staying] == ["b", "c"]
    assert counted() == {"given_up": 1, "coalesced" if leaves == "leader" else "miss": 1}


def test_a_model_that_fails_fails_every_reader() -> None:
    def breaks() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    cache = answering()
    leader = stream(cache, breaks)
    next(leader)
    follower = stream(cache, breaks)
    next(follower)
    for reader in (leader, follower):
        with pytest.raises(ZeroDivisionError):
            list(reader)
    assert counted() == {"model_error": 2}


async def test_followers_whose_own_calls_fail_count_too() -> None:
    async def breaks() -> AsyncIterator[str]:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError
        yield ""

    cache = answering()

    async def read() -> None:
        async for _ in await astream(cache, breaks):
            pass

    done = await asyncio.gather(*(read() for _ in range(3)), return_exceptions=True)
    assert {type(one) for one in done} == {ZeroDivisionError}
    assert counted() == {"model_error": 3}


async def waits(cache: Answering) -> None:
    """Return once a request waits for an identical one."""
    while not any(flight.waiters for flight in cache.service.flights._flights.values()):  # noqa: ASYNC110 - a flight sets no event
        await asyncio.sleep(0)


async def test_who_is_cancelled_while_it_waits_for_a_twin_counts_as_cancelled() -> None:
    cache, go = answering(), asyncio.Event()

    async def generate() -> Answer:
        await go.wait()
        return ANSWER

    tasks = [
        asyncio.create_task(cache.acall(ask(), generate, lambda answer: [answer]))
        for _ in range(2)
    ]
    await asyncio.wait_for(waits(cache), 10)
    tasks[1].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[1]
    go.set()
    await tasks[0]
    assert counted() == {"miss": 1, "cancelled": 1}


def test_who_listens_hears_of_what_was_not_cached_and_of_its_tokens_otherwise() -> None:
    heard: list[Call] = []
    METRICS.listeners = (heard.append,)
    cache = answering()
    try:
        with pytest.raises(NotCachedError), cache_control(only_if_cached=True):
            cache.service.open(ask())
        lookup = cache.service.open(ask())
        lookup.alone("leader_left")
        list(cache.alone(lookup, lambda: iter("abc"), whole))
    finally:
        METRICS.listeners = ()
    assert [(one.error, one.input_tokens) for one in heard] == [("NotCachedError", 0), ("", 10)]
