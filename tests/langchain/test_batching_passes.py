"""BatchingRunnable in chains: what passes through it, and what gains nothing from a batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.llms import BaseLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import Generation, LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough
from langchain_ollama import OllamaLLM

from aegis_llm import observe
from langchain_aegis import BatchingRunnable, cache_chain
from langchain_aegis._gains import best_way
from tests.langchain.batching_kit import Counting, full, together
from tests.langchain.fakes import Named, Streaming
from tests.langchain.kit import Kit, auntil, outcome
from tests.races.kit import done, start

PROMPT = ChatPromptTemplate.from_template("{q}")


class Sentences(BaseLLM):
    """A completion model that reads all prompts at once."""

    sizes: list[int] = []  # noqa: RUF012 - pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "sentences"

    def _generate(
        self, prompts: list[str], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> LLMResult:
        self.sizes.append(len(prompts))
        return LLMResult(generations=[[Generation(text=f"{one}!")] for one in prompts])


class Threaded(Runnable[Any, Any]):
    """Something that computes: no method of it is awaited."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def invoke(self, input: Any, config: Any = None, **kwargs: Any) -> Any:
        return self.batch([input])[0]

    def batch(self, inputs: Any, config: Any = None, **kwargs: Any) -> Any:
        self.sizes.append(len(inputs))
        return [f"{one}!" for one in inputs]


def test_the_way_to_a_batch() -> None:
    counting, plain, computing = Counting(), RunnableLambda(str), Threaded()
    for runnable, blocking, awaited in [
        (counting, "batch", "abatch"),
        (counting.bind(x=1), "batch", "abatch"),
        (counting.with_retry(), "batch", "abatch"),
        (counting.with_fallbacks([plain]), "batch", "abatch"),
        (PROMPT | counting | StrOutputParser(), "batch", "abatch"),
        (BatchingRunnable(counting), "batch", "abatch"),
        (Sentences(), "batch", "abatch"),
        (computing, "batch", "batch"),
        (computing.bind(x=1), "batch", "batch"),
        (computing | plain, "batch", None),
        (plain, None, None),
        (Named(), None, None),
        (Named().bind(stop=["x"]), None, None),
        (Named().with_retry(), None, None),
        (PROMPT | Named() | StrOutputParser(), None, None),
        (RunnablePassthrough.assign(x=counting), None, None),
        (FakeListLLM(responses=["a"]), None, None),
        (OllamaLLM(model="m"), None, None),
    ]:
        assert best_way(runnable, awaited=False) == blocking, runnable
        assert best_way(runnable, awaited=True) == awaited, runnable


def test_chat_aegis_answers_one_by_one_and_each_as_soon_as_it_can(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    assert best_way(model, awaited=False) is best_way(model, awaited=True) is None
    known = model.invoke("What is the capital of France?")
    runnable = BatchingRunnable(model, window_ms=60_000)
    kit.ollama.gate.clear()
    slow = start(lambda: runnable.invoke("How many days are in 2 weeks?"))
    kit.ollama.wait_for(2, "/api/chat")
    (hit,) = done([start(lambda: runnable.invoke("What is the capital of France?"))])
    assert hit.text == known.text
    assert not slow.done()
    kit.ollama.gate.set()
    assert outcome(done([slow])[0]) == "miss"


async def test_what_gains_nothing_is_let_go_together_by_a_window_that_always_holds() -> None:
    begun: list[Any] = []

    def work(asked: int) -> int:
        begun.append(asked)
        if asked == 3:
            raise ValueError(asked)
        return asked * 2

    runnable = full(RunnableLambda(work), 4)
    early = asyncio.create_task(together(runnable, [(i, None) for i in range(3)], "tasks"))
    await auntil(lambda: runnable._gathering.waiting == 3)
    assert begun == []
    last = await together(runnable, [(3, None)], "threads")
    assert await early == [0, 2, 4]
    assert isinstance(last[0], ValueError)


async def test_a_completion_model_reads_all_prompts_at_once() -> None:
    for way in ("threads", "tasks"):
        model = Sentences()
        told = await together(full(model, 3), [(f"q{i}", None) for i in range(3)], way)
        assert told == ["q0!", "q1!", "q2!"]
        assert model.sizes == [3]


async def test_a_batch_of_what_computes_is_made_in_a_thread_for_those_who_await_it() -> None:
    model = Threaded()
    told = await together(full(model, 3), [(i, None) for i in range(3)], "tasks")
    assert told == ["0!", "1!", "2!"]
    assert model.sizes == [3]


def test_a_batch_is_one_already() -> None:
    inner = Counting()
    runnable = full(inner, 99)
    assert runnable.batch([1, 2]) == ["1!", "2!"]
    assert asyncio.run(runnable.abatch([3, 4])) == ["3!", "4!"]
    assert inner.batches == [[1, 2], [3, 4]]
    assert dict(runnable.batch_as_completed([5])) == {0: "5!"}


async def test_streams_pass_through() -> None:
    runnable = full(Streaming(), 99)
    chain = PROMPT | runnable | StrOutputParser()
    asked = {"q": "a"}
    assert [chunk.text for chunk in runnable.stream("a")] == ["streamed", ""]
    assert [chunk.text async for chunk in runnable.astream("a")] == ["streamed", ""]
    assert "".join(chain.stream(asked)) == "streamed"
    assert "".join([chunk async for chunk in chain.astream(asked)]) == "streamed"
    events = [event["event"] async for event in chain.astream_events(asked, version="v2")]
    assert events.count("on_chat_model_start") == 1
    assert events.count("on_chat_model_stream") == 2

    def inputs() -> Iterator[str]:
        yield "a"

    async def ainputs() -> AsyncIterator[str]:
        yield "a"

    assert [chunk.text for chunk in runnable.transform(inputs())] == ["streamed", ""]
    assert [chunk.text async for chunk in runnable.atransform(ainputs())] == ["streamed", ""]


@pytest.mark.parametrize("inner", [Named(), PROMPT | Named(), RunnableLambda(len)])
def test_it_looks_like_what_it_calls(inner: Any) -> None:
    runnable = BatchingRunnable(inner, window_ms=20)
    assert runnable.InputType == inner.InputType
    assert runnable.OutputType == inner.OutputType
    assert runnable.get_input_jsonschema() == inner.get_input_jsonschema()
    assert runnable.get_output_jsonschema() == inner.get_output_jsonschema()
    assert runnable.config_specs == inner.config_specs
    assert runnable.get_name() == inner.get_name()
    assert len(runnable.get_graph().nodes) == len(inner.get_graph().nodes)
    assert "window_ms=20" in repr(runnable)


def test_in_the_hands_of_lcel() -> None:
    inner = Counting()
    runnable = BatchingRunnable(inner)
    assert runnable.with_config(tags=["x"]).bind(stop=["y"]).invoke(1) == "1!"
    assert (inner.configs[-1]["tags"], inner.kwargs[-1]) == (["x"], {"stop": ["y"]})
    assert (PROMPT | runnable | RunnableLambda(len)).invoke({"q": "a"}) > 0
    assert runnable.map().invoke([1, 2]) == ["1!", "2!"]

    bound = BatchingRunnable(inner, config={"tags": ["z"]}, kwargs={"stop": ["z"]})
    assert bound.invoke(2, {"tags": ["y"]}) == "2!"
    assert (inner.configs[-1]["tags"], inner.kwargs[-1]) == (["y", "z"], {"stop": ["z"]})

    failures = iter([ValueError("once"), None])

    def flaky(asked: Any) -> Any:
        if (error := next(failures)) is not None:
            raise error
        return asked

    again = BatchingRunnable(Counting(flaky))
    assert again.with_retry(wait_exponential_jitter=False).invoke(1) == 1
    broken = BatchingRunnable(Counting(lambda asked: 1 / asked))
    assert broken.with_fallbacks([RunnableLambda(lambda _: "else")]).invoke(0) == "else"


def test_the_answers_of_a_chain_are_found_whatever_the_window_is(kit: Kit) -> None:
    """It changes no answer, so it is no part of what the chain is."""
    model = kit.aegis(embeddings=None)

    def asked(runnable: Any) -> list[str]:
        chain = cache_chain(
            PROMPT | runnable | StrOutputParser(),
            question="q",
            redis_url=kit.redis_url,
            namespace=kit.namespace,
        )
        with observe() as seen:
            chain.invoke({"q": "What is the capital of France?"})
        return seen.outcomes

    assert asked(BatchingRunnable(model, window_ms=10)) == ["miss", "miss"]
    assert asked(BatchingRunnable(model, window_ms=20)) == ["hit_local"]
    assert asked(BatchingRunnable(model.bind(stop=["x"]))) == ["miss", "miss"]
