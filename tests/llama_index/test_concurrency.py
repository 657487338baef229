"""Loops, threads and tasks: one model call for many, and nothing kept of what was given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ollama
import pytest
from blockbuster import blockbuster_ctx

from aegis_llm import observe
from llama_index.llms.aegis import AegisOllama
from tests.llama_index.kit import Kit, ask, outcome

QUESTION = "What is the capital of France?"
MANY = 64


async def read(llm: AegisOllama, text: str = QUESTION) -> Any:
    chunks = [chunk async for chunk in await llm.astream_chat(ask(text))]
    assert "".join(chunk.delta for chunk in chunks) == chunks[-1].message.content
    return chunks[-1]


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is in another thread
            await asyncio.sleep(0)


def test_a_second_event_loop_works(kit: Kit) -> None:
    llm = kit.aegis()
    for n in range(3):

        async def go(n: int = n) -> None:
            assert outcome(await llm.achat(ask(f"What is {n} + 1?"))) == "miss"
            assert outcome(await read(llm, f"What is {n} + 2?")) == "miss"
            assert outcome(await llm.achat(ask(f"What is {n} + 1?"))) == "hit_local"

        asyncio.run(go())
    assert kit.calls == 6


def test_loops_in_threads_work_at_the_same_time(kit: Kit) -> None:
    llm = kit.aegis()

    def work(n: int) -> str:
        return outcome(asyncio.run(llm.achat(ask(f"What is {n} + 1?"))))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == ["miss"] * 4


async def test_identical_awaited_calls_make_one(kit: Kit) -> None:
    llm = kit.aegis()
    answers = await asyncio.gather(*[llm.achat(ask(QUESTION)) for _ in range(MANY)])
    assert kit.calls == 1
    assert len({str(answer) for answer in answers}) == 1
    assert sorted({outcome(answer) for answer in answers}) == ["coalesced", "miss"]
    assert len({id(answer.message) for answer in answers}) == MANY


async def test_identical_streams_make_one_call(kit: Kit) -> None:
    llm = kit.aegis()
    answers = await asyncio.gather(*[read(llm) for _ in range(MANY)])
    assert kit.calls == 1
    assert sorted({outcome(answer) for answer in answers}) == ["coalesced", "miss"]
    assert outcome(await llm.achat(ask(QUESTION))) == "hit_local"


@pytest.mark.parametrize("streamed", [False, True])
def test_identical_threads_make_one_call(kit: Kit, streamed: bool) -> None:
    llm = kit.aegis()
    kit.ollama.gate.clear()
    started = threading.Barrier(MANY + 1)

    def work() -> Any:
        started.wait()
        return [*llm.stream_chat(ask(QUESTION))][-1] if streamed else llm.chat(ask(QUESTION))

    with ThreadPoolExecutor(MANY) as pool:
        futures = [pool.submit(work) for _ in range(MANY)]
        started.wait()
        kit.ollama.wait_for(1, "/api/chat")
        kit.ollama.gate.set()
        answers = [future.result(20) for future in futures]
    assert kit.calls == 1
    assert len({str(answer) for answer in answers}) == 1


async def test_readers_of_one_stream_do_not_share_objects(kit: Kit) -> None:
    llm = kit.aegis()

    async def spoil() -> list[str]:
        texts = []
        async for chunk in await llm.astream_chat(ask(QUESTION)):
            texts.append(str(chunk.message.content))
            chunk.message.blocks[-1].text = "spoilt"  # type: ignore[union-attr]
            chunk.raw["message"].content = "spoilt"  # type: ignore[index]
            chunk.raw["done_reason"] = "spoilt"  # type: ignore[index]
            chunk.additional_kwargs.clear()
        return texts

    first, second = await asyncio.gather(spoil(), spoil())
    assert first == second
    assert "spoilt" not in str(first)
    again = await llm.achat(ask(QUESTION))
    assert outcome(again) == "hit_local"
    assert again.message.content == first[-1]


async def test_a_loop_is_never_blocked(kit: Kit) -> None:
    llm = kit.aegis()
    await llm.achat(ask("What is 1 + 1?"))  # imports and connections of the first use
    await read(llm, "What happens when it rains?")
    with blockbuster_ctx(), observe() as seen:
        await llm.achat(ask(QUESTION))
        await llm.achat(ask(QUESTION))
        await read(llm, "What happens if it rains?")
        await read(llm, "How long is the Nile?")
        await read(llm, "How long is the Nile?")
        assert llm.metadata.context_window
    assert seen.outcomes == ["miss", "hit_local", "hit_semantic", "miss", "hit_local"]


@pytest.mark.parametrize("how", ["close", "drop"])
def test_a_stream_that_is_given_up_is_not_kept(kit: Kit, how: str) -> None:
    llm = kit.aegis()
    chunks = llm.stream_chat(ask(QUESTION))
    next(chunks)
    if how == "close":
        chunks.close()  # type: ignore[attr-defined]
    del chunks
    assert outcome(llm.chat(ask(QUESTION))) == "miss"
    assert kit.calls == 2


async def test_an_awaited_stream_that_is_given_up_is_not_kept(kit: Kit) -> None:
    llm = kit.aegis()
    kit.ollama.faults.hang(after=2)
    chunks = await llm.astream_chat(ask(QUESTION))
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    kit.ollama.faults.release()
    assert outcome(await llm.achat(ask(QUESTION))) == "miss"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_call_is_not_kept_and_frees_the_others(kit: Kit, streamed: bool) -> None:
    llm = kit.aegis()
    kit.ollama.gate.clear()
    call = read if streamed else (lambda llm: llm.achat(ask(QUESTION)))
    first = asyncio.create_task(call(llm))  # type: ignore[arg-type]
    await wait_until(lambda: kit.calls == 1)
    second = asyncio.create_task(call(llm))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    kit.ollama.gate.set()
    assert outcome(await second) in ("miss", "coalesced")
    assert (await second).message == (await llm.achat(ask(QUESTION))).message


async def test_a_failing_leader_leaves_each_its_own_call(kit: Kit) -> None:
    llm = kit.aegis()
    kit.ollama.faults.status(500, {"error": "no luck"})
    results = await asyncio.gather(
        *[llm.achat(ask(QUESTION)) for _ in range(4)], return_exceptions=True
    )
    failed = [result for result in results if isinstance(result, BaseException)]
    assert len(failed) == 1
    assert isinstance(failed[0], ollama.ResponseError)
    assert outcome(await llm.achat(ask(QUESTION))) == "hit_local"
