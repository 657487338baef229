"""Identical requests at the same time: one model call, whatever becomes of the first."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from ollama import ResponseError

from aegis_llm import observe
from tests.langchain.kit import Kit, auntil, flying, outcome, until, waiting
from tests.langchain.test_streams import PLAN

ASKED = "What is the capital of France?"
MANY = 64


def joined(model: Any) -> str:
    return "".join(chunk.text for chunk in model.stream(ASKED))


async def ajoined(model: Any) -> str:
    return "".join([chunk.text async for chunk in model.astream(ASKED)])


def test_threads(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    with observe() as seen, ThreadPoolExecutor(MANY) as pool:
        jobs = [pool.submit(copy_context().run, model.invoke, ASKED) for _ in range(MANY)]
        until(lambda: waiting(model) == MANY - 1)
        kit.ollama.gate.set()
        answers = [job.result() for job in jobs]
    assert kit.calls == 1
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.id for answer in answers}) == MANY
    assert Counter(seen.outcomes) == {"miss": 1, "coalesced": MANY - 1}
    assert flying(model) == 0


async def test_tasks(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    with observe() as seen:
        tasks = [asyncio.create_task(model.ainvoke(ASKED)) for _ in range(MANY)]
        await auntil(lambda: waiting(model) == MANY - 1)
        kit.ollama.gate.set()
        answers = await asyncio.gather(*tasks)
    assert kit.calls == 1
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.id for answer in answers}) == MANY
    assert Counter(seen.outcomes) == {"miss": 1, "coalesced": MANY - 1}
    assert flying(model) == 0


async def test_followers_share_no_tool_call(kit: Kit) -> None:
    model = kit.aegis().bind_tools([PLAN])
    aegis = model.bound
    kit.ollama.gate.clear()
    asked = "Make a plan for Paris, please: the plan of the day."
    tasks = [asyncio.create_task(model.ainvoke(asked)) for _ in range(8)]
    await auntil(lambda: waiting(aegis) == 7)
    kit.ollama.gate.set()
    answers = await asyncio.gather(*tasks)
    clean = json.dumps(answers[0].tool_calls[0]["args"])
    for answer in answers:
        assert json.dumps(answer.tool_calls[0]["args"]) == clean
        for value in answer.tool_calls[0]["args"].values():
            value.clear()
    assert json.dumps((await model.ainvoke(asked)).tool_calls[0]["args"]) == clean
    assert len({answer.tool_calls[0]["id"] for answer in answers}) == 8
    assert kit.calls == 1


def test_streams_in_threads(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    with observe() as seen, ThreadPoolExecutor(MANY) as pool:
        jobs = [pool.submit(copy_context().run, joined, model) for _ in range(MANY)]
        kit.ollama.wait_for(1, "/api/chat")
        kit.ollama.gate.set()
        assert len({job.result() for job in jobs}) == 1
    assert kit.calls == 1
    assert len(seen) == MANY
    assert seen.outcomes.count("miss") == 1
    assert flying(model) == 0
    assert outcome(model.invoke(ASKED)) == "hit_local"


async def test_streams_in_tasks(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    with observe() as seen:
        tasks = [asyncio.create_task(ajoined(model)) for _ in range(MANY)]
        await auntil(lambda: kit.calls == 1)
        kit.ollama.gate.set()
        assert len(set(await asyncio.gather(*tasks))) == 1
    assert kit.calls == 1
    assert len(seen) == MANY
    assert seen.outcomes.count("miss") == 1
    assert flying(model) == 0
    assert outcome(await model.ainvoke(ASKED)) == "hit_local"


async def test_threads_and_tasks_together(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    tasks = [asyncio.create_task(model.ainvoke(ASKED)) for _ in range(8)]
    with ThreadPoolExecutor(4) as pool:
        await auntil(lambda: waiting(model) == 7)
        jobs = [asyncio.wrap_future(pool.submit(model.invoke, ASKED)) for _ in range(4)]
        await auntil(lambda: waiting(model) == 11)
        kit.ollama.gate.set()
        answers = await asyncio.gather(*tasks, *jobs)
    assert len({answer.text for answer in answers}) == 1
    assert kit.calls == 1


async def test_a_full_executor_does_not_starve_the_leader(kit: Kit) -> None:
    model = kit.aegis()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        loop.set_default_executor(pool)
        kit.ollama.gate.clear()
        leader = asyncio.create_task(model.ainvoke(ASKED))
        await auntil(lambda: flying(model) == 1)
        followers = [asyncio.to_thread(model.invoke, ASKED) for _ in range(6)]
        tasks = [asyncio.ensure_future(call) for call in followers]
        await auntil(lambda: kit.calls == 3)  # the leader may need a thread that they would hold
        kit.ollama.gate.set()
        answers = await asyncio.gather(leader, *tasks)
    assert len({answer.text for answer in answers}) == 1
    assert kit.calls == 3


async def test_a_cancelled_leader_hands_over(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    leader = asyncio.create_task(model.ainvoke(ASKED))
    await auntil(lambda: kit.calls == 1)
    followers = [asyncio.create_task(model.ainvoke(ASKED)) for _ in range(8)]
    await auntil(lambda: waiting(model) == 8)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    await auntil(lambda: kit.calls == 2)
    kit.ollama.gate.set()
    assert len({answer.text for answer in await asyncio.gather(*followers)}) == 1
    assert kit.calls == 2
    assert flying(model) == 0


async def test_cancelled_followers_disturb_nobody(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    tasks = [asyncio.create_task(model.ainvoke(ASKED)) for _ in range(9)]
    await auntil(lambda: waiting(model) == 8)
    for task in tasks[1:5]:
        task.cancel()
    await asyncio.gather(*tasks[1:5], return_exceptions=True)
    kit.ollama.gate.set()
    answers = await asyncio.gather(tasks[0], *tasks[5:])
    assert len({answer.text for answer in answers}) == 1
    assert kit.calls == 1


async def test_everybody_cancelled_frees_everything(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    tasks = [asyncio.create_task(model.ainvoke(ASKED)) for _ in range(5)]
    tasks += [asyncio.create_task(ajoined(model)) for _ in range(5)]
    await auntil(lambda: kit.calls == 2)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {asyncio.CancelledError}
    kit.ollama.gate.set()
    await auntil(lambda: kit.ollama.in_flight == 0)
    assert flying(model) == 0
    assert outcome(await model.ainvoke(ASKED)) == "miss"


def test_a_failed_leader_releases_threads(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    kit.ollama.gate.clear()
    kit.ollama.faults.midstream_error("boom", after=0, path="/api/chat")
    with ThreadPoolExecutor(8) as pool:
        leader = pool.submit(model.invoke, ASKED)
        kit.ollama.wait_for(1, "/api/chat")
        followers = [pool.submit(model.invoke, ASKED) for _ in range(7)]
        until(lambda: waiting(model) == 7)
        kit.ollama.gate.set()
        with pytest.raises(ResponseError, match="boom"):
            leader.result()
        assert len({f.result().text for f in followers}) == 1
    assert kit.calls == 8
    assert flying(model) == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failed_leader_releases_everybody(kit: Kit, streamed: bool) -> None:
    model = kit.aegis(embeddings=None)
    kit.ollama.gate.clear()
    kit.ollama.faults.midstream_error("boom", after=0, path="/api/chat")

    async def ask() -> str:
        return await ajoined(model) if streamed else (await model.ainvoke(ASKED)).text

    leader = asyncio.create_task(ask())
    await auntil(lambda: kit.calls == 1)
    followers = [asyncio.create_task(ask()) for _ in range(7)]
    if not streamed:
        await auntil(lambda: waiting(model) == 7)
    kit.ollama.gate.set()
    with pytest.raises(ResponseError, match="boom"):
        await leader
    assert len(set(await asyncio.gather(*followers))) == 1
    assert 2 <= kit.calls <= 8
    assert flying(model) == 0
    if not streamed:
        assert outcome(await model.ainvoke(ASKED)) == "hit_local"


async def test_a_blocking_call_on_the_loop_calls_for_itself(kit: Kit) -> None:
    model = kit.aegis()
    kit.ollama.gate.clear()
    leader = asyncio.create_task(model.ainvoke(ASKED))
    await auntil(lambda: kit.calls == 1)

    def open_the_gate() -> None:
        kit.ollama.wait_for(2, "/api/chat")
        kit.ollama.gate.set()

    threading.Thread(target=open_the_gate).start()
    answer = model.invoke(ASKED)  # would wait for ever for a task of its own loop
    assert outcome(answer) == "miss"
    assert (await leader).text == answer.text
    assert joined(model) == answer.text


def test_one_model_serves_one_loop_after_another(kit: Kit) -> None:
    model = kit.aegis(local_max_bytes=0)

    async def ask(number: int) -> list[str]:
        asked = f"What is the capital of France {number}?"
        first = (await model.ainvoke(asked)).text
        parts = [chunk.text async for chunk in model.astream(asked)]
        return [first, "".join(parts)]

    for number in (1, 1, 2, 3):
        first, second = asyncio.run(ask(number))
        assert first == second
    assert kit.calls == 3
    assert outcome(model.invoke("What is the capital of France 3?")) == "hit_exact"


def test_loops_in_threads(kit: Kit) -> None:
    model = kit.aegis()
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(asyncio.run, ajoined(model)) for _ in range(8)]
        jobs += [pool.submit(asyncio.run, ajoined(model)) for _ in range(8)]
        assert len({job.result() for job in jobs}) == 1
    assert joined(model) == jobs[0].result()


def test_a_call_inside_a_call_does_not_wait_for_itself(kit: Kit) -> None:
    model = kit.aegis()
    nested: list[str] = []

    class Asking(BaseCallbackHandler):
        def on_llm_new_token(self, token: Any, **_: Any) -> None:
            if not nested:
                nested.append("")
                nested.append(model.invoke(ASKED).text)

    answer = model.invoke(ASKED, config={"callbacks": [Asking()]})
    assert nested[1] == answer.text
    assert flying(model) == 0


def test_different_requests_do_not_wait_for_each_other(kit: Kit) -> None:
    model = kit.aegis()
    with ThreadPoolExecutor(16) as pool:
        asked = [f"What is {number} + {number}?" for number in range(16)]
        jobs = [pool.submit(model.invoke, one) for one in asked]
        answers = [job.result().text for job in jobs]
    assert len(set(answers)) == 16
    assert kit.calls == 16


def test_without_single_flight_everybody_calls(kit: Kit) -> None:
    model = kit.aegis(single_flight=False)
    kit.ollama.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(model.invoke, ASKED) for _ in range(4)]
        kit.ollama.wait_for(4, "/api/chat")
        kit.ollama.gate.set()
        assert len({job.result().text for job in jobs}) == 1
    assert kit.calls == 4
