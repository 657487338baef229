"""Requests of ChatAegis wait for their turn: what users see of it."""

from __future__ import annotations

import asyncio
import logging
import runpy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from aegis_llm import (
    AegisConfig,
    QueueFullError,
    QueueTimeoutError,
    cache_control,
    queues,
    scheduling,
)
from aegis_llm.testing import OllamaSimulator
from tests.langchain.kit import MODEL, PATIENT, Kit, forget_stock_models, outcome

CHAT = "/api/chat"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def four() -> Iterator[OllamaSimulator]:
    """A server with four slots."""
    with OllamaSimulator(num_parallel=4) as sim:
        yield sim


@pytest.fixture
def one() -> Iterator[OllamaSimulator]:
    """A server with one slot."""
    with OllamaSimulator(num_parallel=1) as sim:
        yield sim


def on(kit: Kit, sim: OllamaSimulator, **given: Any) -> Any:
    return kit.aegis(base_url=sim.base_url, embeddings=None, **{"warm": False, **given})


def asked_by(sim: OllamaSimulator) -> list[str]:
    """The questions in the order in which they reached the server."""
    return [c.body["messages"][-1]["content"] for c in sim.calls if c.path == CHAT]


def told_by(chunks: list[Any]) -> Any:
    """The origin that a stream tells."""
    (told,) = [c.response_metadata["aegis"] for c in chunks if "aegis" in c.response_metadata]
    return told


def wait_for_waiting(count: int) -> None:
    done = threading.Event()
    while sum(m.waiting for state in queues() for m in state.models.values()) < count:
        assert not done.wait(0.005)


def test_no_more_are_in_flight_than_there_are_slots(kit: Kit, four: OllamaSimulator) -> None:
    model = on(kit, four, num_parallel=4)
    answers = model.batch([f"What is {n} and {n}?" for n in range(40)])
    assert [f"{n} and {n}" in a.text for n, a in enumerate(answers)] == [True] * 40
    assert four.count(CHAT) == 40
    assert four.peak_in_flight <= 4 + 1  # and a question for the digest


def test_until_the_slots_are_known_all_are_sent(kit: Kit, one: OllamaSimulator) -> None:
    model = on(kit, one)
    one.gate.clear()
    with ThreadPoolExecutor(12) as pool:
        jobs = [pool.submit(model.invoke, f"What is {n}?") for n in range(12)]
        one.wait_for(12, CHAT)
        one.gate.set()
        assert all(job.result().text for job in jobs)


def test_sync_and_async_callers_of_both_kinds_share_one_queue(
    kit: Kit, one: OllamaSimulator
) -> None:
    model, other = on(kit, one, num_parallel=1), on(kit, one, num_parallel=1, temperature=0.5)
    one.gate.clear()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(model.invoke, "One?"), pool.submit(other.invoke, "Two?")]
        jobs += [pool.submit(asyncio.run, model.ainvoke("Three?"))]
        jobs += [pool.submit(lambda: list(other.stream("Four?")))]
        one.wait_for(1, CHAT)
        wait_for_waiting(3)
        assert one.count(CHAT) == 1
        one.gate.set()
        for job in jobs:
            job.result()
    assert one.count(CHAT) == 4


async def test_an_answer_tells_where_it_was_made_and_how_long_it_waited(
    kit: Kit, one: OllamaSimulator
) -> None:
    model = on(kit, one, num_parallel=1)
    one.gate.clear()

    async def streamed() -> Any:
        return told_by([chunk async for chunk in model.astream("Streamed?")])

    first = asyncio.create_task(model.ainvoke("First?"))
    await asyncio.to_thread(one.wait_for, 1, CHAT)
    others = [asyncio.create_task(model.ainvoke("Whole?")), asyncio.create_task(streamed())]
    with ThreadPoolExecutor(1) as pool:
        blocking = pool.submit(lambda: told_by(list(model.stream("Blocking?"))))
        await asyncio.to_thread(wait_for_waiting, 3)
        one.gate.set()
        told = [(await first).response_metadata["aegis"]]
        told += [(await others[0]).response_metadata["aegis"], await others[1]]
        told += [blocking.result()]
    assert [each["server"] for each in told] == [one.base_url] * 4
    assert told[0]["queued_ms"] < min(each["queued_ms"] for each in told[1:])
    hit = (await model.ainvoke("First?")).response_metadata["aegis"]
    assert (hit["server"], hit["queued_ms"]) == ("", 0)


def test_the_urgent_goes_first(kit: Kit, one: OllamaSimulator) -> None:
    model = on(kit, one, num_parallel=1)
    one.gate.clear()

    def ask(question: str, **terms: Any) -> Any:
        with scheduling(**terms):
            return model.invoke(question)

    with ThreadPoolExecutor(5) as pool:
        jobs = [pool.submit(ask, "First?")]
        one.wait_for(1, CHAT)
        for count, (question, terms) in enumerate(
            [
                ("Usual?", {}),
                ("Low?", {"priority": -5}),
                ("Due?", {"deadline_s": 60}),
                ("High?", {"priority": 5}),
            ],
            start=1,
        ):
            jobs.append(pool.submit(ask, question, **terms))
            wait_for_waiting(count)
        one.gate.set()
        for job in jobs:
            job.result()
    assert asked_by(one) == ["First?", "High?", "Due?", "Usual?", "Low?"]


def test_requests_over_one_document_follow_each_other(kit: Kit, one: OllamaSimulator) -> None:
    model = on(kit, one, num_parallel=1)
    documents = {"a": "Alpha is first. " * 60, "b": "Beta is second. " * 60}
    one.gate.clear()

    def ask(name: str, number: int) -> Any:
        return model.invoke([SystemMessage(documents[name]), HumanMessage(f"{name}{number}")])

    with ThreadPoolExecutor(9) as pool:
        jobs = [pool.submit(model.invoke, "first")]
        one.wait_for(1, CHAT)
        for number in range(4):
            for name in documents:
                jobs.append(pool.submit(ask, name, number))
                wait_for_waiting(len(jobs) - 1)
        one.gate.set()
        for job in jobs:
            job.result()
    assert asked_by(one) == ["first", "a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


def test_a_tenant_with_one_request_does_not_wait_for_another_ones_hundred(
    kit: Kit, one: OllamaSimulator
) -> None:
    model = on(kit, one, num_parallel=1)
    one.gate.clear()

    def ask(tenant: str, question: str) -> Any:
        with cache_control(tenant=tenant):
            return model.invoke(question)

    with ThreadPoolExecutor(40) as pool:
        jobs = [pool.submit(ask, "heavy", f"heavy {n}") for n in range(30)]
        wait_for_waiting(29)
        jobs.append(pool.submit(ask, "light", "light"))
        wait_for_waiting(30)
        one.gate.set()
        for job in jobs:
            job.result()
    assert asked_by(one).index("light") <= 2


def test_a_full_queue_and_a_deadline_are_errors_at_once(kit: Kit, one: OllamaSimulator) -> None:
    model = on(kit, one, num_parallel=1, max_queue=1)
    one.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(model.invoke, "First?")]
        one.wait_for(1, CHAT)
        jobs.append(pool.submit(model.invoke, "Second?"))
        wait_for_waiting(1)
        with pytest.raises(QueueFullError, match=r"1 requests wait.*max_queue") as caught:
            model.invoke("Third?")
        assert caught.value.waiting == 1
        one.gate.set()
        assert all(job.result().text for job in jobs)
    with scheduling(deadline_s=1e-9), pytest.raises(QueueTimeoutError, match="deadline"):
        model.invoke("Too late?")
    assert one.count(CHAT) == 2
    assert outcome(model.invoke("Third?")) == "miss"


def test_who_waits_too_long_is_told_and_leaves_the_queue(kit: Kit, one: OllamaSimulator) -> None:
    model = on(kit, one, num_parallel=1, queue_timeout_s=0.05)
    one.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(model.invoke, "First?")
        one.wait_for(1, CHAT)
        with pytest.raises(QueueTimeoutError, match="queue_timeout_s"):
            model.invoke("Second?")
        with pytest.raises(QueueTimeoutError):
            asyncio.run(model.ainvoke("Third?"))
        one.gate.set()
        assert job.result().text
    assert one.count(CHAT) == 1
    (state,) = queues()
    assert (state.models[MODEL].waiting, state.models[MODEL].flying) == (0, 0)


def test_callers_with_other_runner_options_do_not_reload_the_model(
    kit: Kit, four: OllamaSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = (4096, 2048, None, 8192)
    models = [on(kit, four, num_ctx=size, num_thread=3) for size in sizes]
    with caplog.at_level(logging.WARNING, "aegis_llm"):
        for number, model in enumerate(models):
            assert outcome(model.invoke(f"What is {number}?")) == "miss"
    assert four.loads == 1
    sent = {c.body["options"]["num_ctx"] for c in four.calls if c.path == CHAT}
    assert sent == {4096}
    assert "num_ctx=4096 in place of 2048" in caplog.text
    # The key is that of what was sent: the answer is the same one for all of them.
    assert {outcome(model.invoke("What is 0?")) for model in models} == {"hit_local"}


def test_who_insists_keeps_its_options(kit: Kit, four: OllamaSimulator) -> None:
    model, other = on(kit, four, num_ctx=4096), on(kit, four, num_ctx=2048)
    model.invoke("What is it?")
    with scheduling(insist=True):
        assert outcome(other.invoke("What is it?")) == "miss"
    assert four.loads == 2
    assert four.calls[-1].body["options"]["num_ctx"] == 2048


def test_a_prompt_that_would_be_cut_keeps_its_context(kit: Kit, four: OllamaSimulator) -> None:
    small, large = on(kit, four, num_ctx=2048), on(kit, four, num_ctx=16384)
    small.invoke("What is it?")
    large.invoke("word " * 5000)
    assert four.calls[-1].body["options"]["num_ctx"] == 16384


def test_without_a_schedule_the_client_is_the_usual_one(kit: Kit, one: OllamaSimulator) -> None:
    model = on(kit, one, schedule=False)
    assert type(model._client).__module__.startswith("ollama")
    assert outcome(model.invoke("What is it?")) == "miss"
    assert queues() == []


def test_a_server_that_is_busy_once_is_asked_again(kit: Kit, way_of_ask: Any) -> None:
    kit.ollama.faults.status(503, {"error": "server busy"}, path=CHAT)
    assert outcome(way_of_ask(kit.aegis())) == "miss"
    assert kit.calls == 2


@pytest.fixture(params=["invoke", "stream", "ainvoke"])
def way_of_ask(request: pytest.FixtureRequest) -> Any:
    def ask(model: Any) -> Any:
        if request.param == "ainvoke":
            return asyncio.run(model.ainvoke("Who?"))
        if request.param == "invoke":
            return model.invoke("Who?")
        chunks = list(model.stream("Who?"))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        return whole

    return ask


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_the_example(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", kit.ollama.base_url)
    patient = AegisConfig().with_options(
        redis_url=kit.redis_url, namespace=kit.namespace, **PATIENT
    )
    monkeypatch.setattr(AegisConfig, "from_env", lambda: patient)
    runpy.run_path(str(EXAMPLES / "langchain_scheduling.py"), run_name="__main__")
    forget_stock_models()
    told = capsys.readouterr().out
    assert told.startswith("16 answers; 17 sent, 0 waiting, slots: ")
    assert kit.calls == 17
