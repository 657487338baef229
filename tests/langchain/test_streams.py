"""Streams: shared while they run, left early, lost; what is not complete is never kept."""

from __future__ import annotations

import asyncio
import copy
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from langchain_core.callbacks import get_usage_metadata_callback

from aegis_llm import observe
from tests.langchain.kit import Kit, auntil, flying, outcome, until

ASKED = "What is the capital of France?"
PLAN = {
    "name": "make_plan",
    "description": "Make a plan of the day.",
    "parameters": {
        "type": "object",
        "properties": {
            "cities": {"type": "array", "items": {"type": "string"}},
            "details": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
        "required": ["cities", "details"],
    },
}


@pytest.fixture
def halted(kit: Kit) -> Iterator[Kit]:
    """The model says three words and then waits to be released."""
    kit.ollama.faults.hang(after=3, path="/api/chat")
    yield kit
    kit.ollama.faults.release()


def test_a_follower_reads_while_the_model_still_speaks(halted: Kit) -> None:
    model = halted.aegis()
    with (
        observe() as seen,
        closing(model.stream(ASKED)) as one,
        closing(model.stream(ASKED)) as two,
    ):
        words = [next(one).text for _ in range(3)]
        assert [next(two).text for _ in range(3)] == words
        halted.ollama.faults.release()
        rest = "".join(chunk.text for chunk in one)
        assert "".join(chunk.text for chunk in two) == rest
    assert seen.outcomes == ["miss", "coalesced"]
    assert halted.calls == 1
    assert model.invoke(ASKED).text == "".join(words) + rest


async def test_awaited_a_follower_reads_while_the_model_still_speaks(halted: Kit) -> None:
    model = halted.aegis()
    with observe() as seen:
        one, two = model.astream(ASKED), model.astream(ASKED)
        words = [(await anext(one)).text for _ in range(3)]
        assert [(await anext(two)).text for _ in range(3)] == words
        halted.ollama.faults.release()
        rest = "".join([chunk.text async for chunk in one])
        assert "".join([chunk.text async for chunk in two]) == rest
    assert seen.outcomes == ["miss", "coalesced"]
    assert halted.calls == 1


def test_a_follower_pays_nothing(halted: Kit) -> None:
    model = halted.aegis()
    with observe() as seen:
        one, two = model.stream(ASKED), model.stream(ASKED)
        next(one), next(two)
        halted.ollama.faults.release()
        paid, spared = [list(chunks)[-2] for chunks in (one, two)]
    total = paid.usage_metadata["total_tokens"]
    assert total > 0
    assert set(spared.usage_metadata.values()) == {0}
    assert spared.response_metadata["eval_count"] == 0
    assert set(spared.response_metadata) == set(paid.response_metadata)
    assert [origin.saved_tokens for origin in seen] == [0, total]
    assert spared.response_metadata["aegis"]["saved_tokens"] == total


async def test_awaited_a_follower_pays_nothing(halted: Kit) -> None:
    model = halted.aegis()
    with get_usage_metadata_callback() as usage:
        one, two = model.astream(ASKED), model.astream(ASKED)
        await anext(one), await anext(two)
        halted.ollama.faults.release()
        paid = [chunk async for chunk in one][-2]
        spared = [chunk async for chunk in two][-2]
    total = paid.usage_metadata["total_tokens"]
    assert spared.response_metadata["aegis"]["saved_tokens"] == total
    assert sum(one["total_tokens"] for one in usage.usage_metadata.values()) == total


def test_a_tool_call_edited_before_the_end_is_kept_as_it_was(kit: Kit) -> None:
    model = kit.aegis().bind_tools([PLAN])
    asked = "Make a plan for Paris, please: the plan of the day."

    def edited() -> Any:
        clean: Any = None
        for chunk in model.stream(asked):
            for call in chunk.tool_calls:
                clean = copy.deepcopy(call["args"])
                for value in call["args"].values():
                    if isinstance(value, list | dict):
                        value.clear()
                call["args"].clear()
            for piece in chunk.tool_call_chunks:
                piece["args"] = "{}"
        return clean

    first = edited()
    assert first
    assert edited() == first
    assert model.invoke(asked).tool_calls[0]["args"] == first
    assert kit.calls == 1


def test_the_first_reader_may_leave(halted: Kit) -> None:
    model = halted.aegis()
    one, two = model.stream(ASKED), model.stream(ASKED)
    next(one)
    first = next(two).text
    one.close()
    halted.ollama.faults.release()
    whole = first + "".join(chunk.text for chunk in two)
    assert halted.calls == 1
    hit = model.invoke(ASKED)
    assert (outcome(hit), hit.text) == ("hit_local", whole)


async def test_awaited_the_first_reader_may_leave(halted: Kit) -> None:
    model = halted.aegis()
    one, two = model.astream(ASKED), model.astream(ASKED)
    await anext(one)
    first = (await anext(two)).text
    await one.aclose()
    halted.ollama.faults.release()
    whole = first + "".join([chunk.text async for chunk in two])
    assert halted.calls == 1
    hit = await model.ainvoke(ASKED)
    assert (outcome(hit), hit.text) == ("hit_local", whole)


def left(model: Any) -> None:
    for _ in model.stream(ASKED):
        break
    gc.collect()


def closed(model: Any) -> None:
    with closing(model.stream(ASKED)) as chunks:
        next(chunks)


def collected(model: Any) -> None:
    chunks = model.stream(ASKED)
    next(chunks)
    del chunks
    gc.collect()


def raised(model: Any) -> None:
    with pytest.raises(KeyError):  # noqa: PT012
        for _ in model.stream(ASKED):
            raise KeyError


def never_read(model: Any) -> None:
    model.stream(ASKED)
    gc.collect()


def events_left(model: Any) -> None:
    events = model.stream_events(ASKED, version="v3")
    next(iter(events.text))
    del events
    gc.collect()


def aclosed(model: Any) -> None:
    async def run() -> None:
        chunks = model.astream(ASKED)
        await anext(chunks)
        await chunks.aclose()

    asyncio.run(run())


def aleft(model: Any) -> None:
    async def run() -> None:
        async for _ in model.astream(ASKED):
            break

    asyncio.run(run())


def acancelled(model: Any) -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def read() -> None:
            async for _ in model.astream(ASKED):
                started.set()

        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def timed_out(model: Any) -> None:
    async def run() -> None:
        chunks = model.astream(ASKED)
        for _ in range(3):
            await anext(chunks)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(chunks), 0.01)
        await chunks.aclose()

    asyncio.run(run())


LEAVING: list[Callable[[Any], None]] = [
    left, closed, collected, raised, never_read, events_left,
    aclosed, aleft, acancelled, timed_out,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("leave", LEAVING, ids=lambda leave: leave.__name__)
def test_a_stream_left_early_is_not_kept_and_stops_the_model(
    halted: Kit, leave: Callable[[Any], None]
) -> None:
    model = halted.aegis()
    leave(model)
    halted.ollama.faults.clear()
    until(lambda: halted.ollama.in_flight == 0)
    assert flying(model) == 0
    before = halted.calls
    assert outcome(model.invoke(ASKED)) == "miss"
    assert halted.calls == before + 1
    assert outcome(model.invoke(ASKED)) == "hit_local"


def test_left_right_before_the_end_is_left(kit: Kit) -> None:
    stock = [chunk.text for chunk in kit.stock().stream(ASKED)]
    model = kit.aegis()
    with closing(model.stream(ASKED)) as chunks:
        for _ in range(len(stock) - 2):  # all the text, not yet the line that says done
            next(chunks)
    until(lambda: kit.ollama.in_flight == 0)
    assert outcome(model.invoke(ASKED)) == "miss"


def test_left_after_the_end_is_kept(kit: Kit) -> None:
    model = kit.aegis()
    with closing(model.stream(ASKED)) as chunks:
        for chunk in chunks:
            if chunk.response_metadata.get("done"):
                break
    assert outcome(model.invoke(ASKED)) == "hit_local"


async def test_awaited_a_slow_reader_does_not_hold_the_model(kit: Kit) -> None:
    model = kit.aegis()
    chunks = model.astream(ASKED)
    first = await anext(chunks)
    await auntil(lambda: kit.ollama.in_flight == 0)
    rest = [chunk async for chunk in chunks]
    assert first.text + "".join(chunk.text for chunk in rest) == (await model.ainvoke(ASKED)).text
    assert kit.calls == 1


def test_readers_of_different_speed(kit: Kit) -> None:
    model = kit.aegis()
    with closing(model.stream(ASKED)) as slow, ThreadPoolExecutor() as pool:
        first = next(slow)
        quick = pool.submit(lambda: "".join(chunk.text for chunk in model.stream(ASKED)))
        assert first.text + "".join(chunk.text for chunk in slow) == quick.result()
    assert kit.calls == 1


async def test_an_invoke_meets_a_stream(halted: Kit) -> None:
    model = halted.aegis()
    chunks = model.astream(ASKED)
    await anext(chunks)
    other = asyncio.create_task(model.ainvoke(ASKED))
    halted.ollama.faults.release()
    rest = [chunk async for chunk in chunks]
    answer = await other
    assert answer.text.endswith("".join(chunk.text for chunk in rest[-5:]))
    assert flying(model) == 0
