"""BatchingRunnable: fewer calls, and every caller gets what it would get by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import numpy as np
import pytest
from langchain_core.callbacks import get_usage_metadata_callback
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from aegis_llm import ConfigError, cache_control, observe
from langchain_aegis import BatchingRunnable
from tests.langchain.batching_kit import Counting, Heard, full, in_thread, together
from tests.langchain.fakes import Named
from tests.langchain.kit import Kit, auntil, error_of, outcome, until

WAYS = ["threads", "tasks"]


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_asked_while_a_call_is_under_way_becomes_one_batch(way: str) -> None:
    inner = Counting()
    inner.gate.clear()
    runnable = BatchingRunnable(inner, window_ms=60_000)
    first = asyncio.create_task(together(runnable, [("first", None)], way))
    await auntil(lambda: inner.alone == ["first"])
    others = asyncio.create_task(together(runnable, [(i, None) for i in range(5)], way))
    await auntil(lambda: runnable._gathering.waiting == 5)
    inner.gate.set()
    assert await first == ["first!"]
    assert await others == [f"{i}!" for i in range(5)]
    assert (inner.alone, [len(batch) for batch in inner.batches]) == (["first"], [5])


@pytest.mark.parametrize("way", WAYS)
async def test_an_item_that_fails_fails_for_its_caller_only(way: str) -> None:
    inner = Counting(lambda asked: 1 / asked)
    told = await together(full(inner, 3), [(1, None), (0, None), (2, None)], way)
    assert [told[0], told[2]] == [1.0, 0.5]
    assert isinstance(told[1], ZeroDivisionError)
    assert inner.ways == ["abatch" if way == "tasks" else "batch"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("same", [False, True], ids=["raised", "the same error for each"])
async def test_a_batch_that_fails_as_a_whole_is_tried_one_by_one(way: str, same: bool) -> None:
    inner = Counting(lambda asked: 1 / asked)
    inner.strict = True
    if same:  # as a completion model of LangChain does
        error = ZeroDivisionError("division by zero")
        inner._answers = lambda inputs, _: [error] * len(inputs)  # type: ignore[method-assign]
    told = await together(full(inner, 3), [(1, None), (0, None), (2, None)], way)
    assert [told[0], told[2]] == [1.0, 0.5]
    assert isinstance(told[1], ZeroDivisionError)
    assert len(inner.batches) == 1
    assert sorted(inner.alone) == [0, 1, 2]


@pytest.mark.parametrize("way", WAYS)
async def test_each_caller_has_its_own_callbacks_tags_and_metadata(way: str) -> None:
    """Under the chain that called, as if nobody else were there."""
    heard = [Heard() for _ in range(3)]
    runnable = full(Models(), 3)
    chain = ChatPromptTemplate.from_template("{q}") | runnable | StrOutputParser()
    told = await together(
        chain,
        [
            ({"q": f"q{i}"}, {"callbacks": [heard[i]], "tags": [f"t{i}"], "metadata": {"m": i}})
            for i in range(3)
        ],
        way,
    )
    assert told == [f"m-1: q{i}" for i in range(3)]
    assert Models.sizes.pop() == 3
    for i, one in enumerate(heard):
        (model,) = [run for run in one.runs if run[0].startswith("model")]
        whole = one.runs[0]
        assert whole[2] is None
        kind, _, parent, tags, metadata = model
        assert (kind, parent) == (f"model q{i}", whole[1])
        assert [tag for tag in tags if tag.startswith("t")] == [f"t{i}"]
        assert metadata["m"] == i


class Models(Runnable[Any, Any]):
    """A model whose batch is one call."""

    sizes: list[int] = []  # noqa: RUF012 - of the whole test
    model = Named()

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return self.model.invoke(input, config, **kwargs)

    def batch(self, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        self.sizes.append(len(inputs))
        return self.model.batch(inputs, config, **kwargs)

    async def abatch(self, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        self.sizes.append(len(inputs))
        return await self.model.abatch(inputs, config, **kwargs)


request_id: ContextVar[str] = ContextVar("request_id", default="nobody")
shared: ContextVar[str] = ContextVar("shared", default="nobody")


@pytest.mark.parametrize("way", WAYS)
async def test_a_batch_sees_of_context_variables_what_its_callers_agree_in(way: str) -> None:
    inner = Counting(lambda _: (request_id.get(), shared.get()))
    runnable = full(inner, 2)
    shared.set("everybody")

    def caller(name: str) -> Any:
        request_id.set(name)
        return runnable.ainvoke(name) if way == "tasks" else runnable.invoke(name)

    async def task(name: str) -> Any:
        return await (caller(name) if way == "tasks" else in_thread(caller, name))

    assert await asyncio.gather(task("a"), task("b")) == [("nobody", "everybody")] * 2
    assert caller_alone(inner, "c") == ("c", "everybody")


def caller_alone(inner: Counting, name: str) -> Any:
    def call() -> Any:
        request_id.set(name)
        return BatchingRunnable(inner).invoke(name)

    return copy_context().run(call)


def test_a_usage_callback_counts_the_calls_of_its_own_block_only() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    answer = AIMessage("yes", usage_metadata=usage, response_metadata={"model_name": "m"})
    models = Models()
    models.model = Named(answers=[answer])
    runnable = full(models, 2)

    def counted() -> Any:
        with get_usage_metadata_callback() as counting:
            runnable.invoke("a")
        return counting.usage_metadata

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(counted) for _ in range(2)]
    assert Models.sizes.pop() == 2
    assert [job.result()["m"]["total_tokens"] for job in jobs] == [3, 3]


@pytest.mark.parametrize(
    ("left", "right", "batches"),
    [
        ({}, {}, 1),
        ({"stop": ["x"]}, {"stop": ["x"]}, 1),
        ({"stop": ["x"]}, {"stop": ["y"]}, 0),
        ({"stop": ["x"]}, {}, 0),
        ({"a": np.ones(2)}, {"a": np.ones(2)}, 0),
    ],
)
def test_only_calls_with_equal_arguments_are_made_together(
    left: dict[str, Any], right: dict[str, Any], batches: int
) -> None:
    inner = Counting()
    inner.gate.clear()
    runnable = BatchingRunnable(inner, window_ms=60_000)
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(runnable.invoke, 0, **left)]
        until(lambda: inner.alone == [0])
        jobs += [pool.submit(runnable.invoke, 1, **left), pool.submit(runnable.invoke, 2, **right)]
        until(lambda: runnable._gathering.waiting + len(inner.alone) == 3)
        inner.gate.set()
    assert [job.result() for job in jobs] == ["0!", "1!", "2!"]
    assert len(inner.batches) == batches
    assert [sorted(given) for given in inner.kwargs].count(sorted(left)) >= 1 + batches


class Asked(Runnable[Any, Any]):
    """A ChatAegis whose batch is one call."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.sizes: list[int] = []

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return self.model.invoke(input, config, **kwargs)

    async def ainvoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return await self.model.ainvoke(input, config, **kwargs)

    def batch(self, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        self.sizes.append(len(inputs))
        return self.model.batch(inputs, config, **kwargs)

    async def abatch(self, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        self.sizes.append(len(inputs))
        return await self.model.abatch(inputs, config, **kwargs)


@pytest.mark.parametrize("way", WAYS)
async def test_no_tenant_is_served_what_another_asked_for(kit: Kit, way: str) -> None:
    """Each asks in a block of its own; blocks that say the same share a batch."""
    inner = Asked(kit.aegis(embeddings=None))
    runnable = BatchingRunnable(inner, max_batch=4, window="always", window_ms=60_000)
    asked = ["What is the capital of France?", "How many days are in 2 weeks?"] * 2

    def block(tenant: str, question: str) -> Any:
        with cache_control(tenant=tenant):
            return runnable.invoke(question)

    async def ablock(tenant: str, question: str) -> Any:
        with cache_control(tenant=tenant):
            return await runnable.ainvoke(question)

    async def ask() -> list[str]:
        call = ablock if way == "tasks" else partial(in_thread, block)
        calls = [call(tenant, question) for question in asked for tenant in "ab"]
        return [outcome(answer) for answer in await asyncio.gather(*calls)]

    first = await ask()
    assert first[::2].count("miss") == first[1::2].count("miss") == 2
    assert inner.sizes == [4, 4]
    assert kit.calls == 4
    assert {one[:3] for one in await ask()} == {"hit"}
    with cache_control(tenant="a"):
        assert outcome(inner.invoke(asked[0]))[:3] == "hit"
    assert outcome(inner.invoke(asked[0])) == "miss", "nothing was stored without a tenant"


def test_each_observe_block_sees_its_own_answers(kit: Kit) -> None:
    runnable = BatchingRunnable(Asked(kit.aegis(embeddings=None)), window_ms=20)

    def observed(question: str) -> list[str]:
        with observe() as seen:
            runnable.invoke(question)
        return seen.outcomes

    questions = [f"How many days are in {n} weeks?" for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(observed, questions)) == [["miss"]] * 8


async def test_a_blocking_call_inside_a_running_loop_returns() -> None:
    inner = Counting()
    runnable = full(inner, 2)
    waiting = asyncio.create_task(runnable.ainvoke("a"))
    await auntil(lambda: runnable._gathering.waiting == 1)
    assert runnable.invoke("b") == "b!"
    assert await asyncio.gather(runnable.ainvoke("c"), waiting) == ["c!", "a!"]
    assert inner.alone == ["b"]


@pytest.mark.parametrize(
    "settings",
    [
        {"window_ms": -1},
        {"window_ms": float("nan")},
        {"window_ms": "50"},
        {"max_batch": 0},
        {"max_batch": True},
        {"max_in_flight": 0},
        {"max_in_flight": 1.5},
        {"window": "never"},
        {"windows_ms": 3},
        {"bound": 42},
    ],
)
def test_settings_that_are_not_usable_are_refused(settings: dict[str, Any]) -> None:
    given = {"bound": Counting(), **settings}
    error = error_of(lambda: BatchingRunnable(**given))
    assert error is not None
    assert error[0] is ConfigError
    assert next(iter(settings)) in error[1] or "give a runnable" in error[1]


def test_functions_and_dictionaries_are_runnables() -> None:
    def chunks(asked: Iterator[str]) -> Iterator[str]:
        yield from asked

    assert BatchingRunnable(lambda asked: asked + 1).invoke(1) == 2
    assert BatchingRunnable({"a": RunnableLambda(str)}).invoke(1) == {"a": "1"}
    assert BatchingRunnable(chunks).invoke("x") == "x"
