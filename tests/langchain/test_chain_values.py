"""What cached chains return: stored or not, and equal when it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from pydantic import BaseModel

from aegis_llm import observe
from aegis_llm.values import Answer
from tests.langchain.chain_kit import (
    EVERY_WAY,
    QUESTION,
    REWORDED,
    Counting,
    Way,
    cached,
    joined,
    rag,
    retriever,
)
from tests.langchain.handbook import SHOP, TWO_MESSAGES
from tests.langchain.kit import Kit
from tests.langchain.test_documents import entries


def dictionary(model: Any, found: Any) -> Any:
    """Return the chain that answers with its sources, as the tutorials build it."""
    answer = (
        RunnablePassthrough.assign(context=lambda given: joined(given["context"]))
        | TWO_MESSAGES | model | StrOutputParser()
    )  # fmt: skip
    return RunnablePassthrough.assign(
        context=(lambda given: given["question"]) | found
    ) | RunnablePassthrough.assign(answer=answer)


@EVERY_WAY
async def test_an_answer_with_its_sources(kit: Kit, way: Way) -> None:
    found = Counting(
        documents=[Document(SHOP, id="shop", metadata={"page": 3, "tags": ["a"]})], asked=[]
    )
    chain = cached(kit, dictionary(kit.stock(), found))
    first = await way(chain, {"question": QUESTION})
    again = await way(chain, {"question": QUESTION})
    await kit.aclose()
    assert again == first
    assert type(again) is type(first)
    assert list(again) == ["question", "context", "answer"]
    assert again["context"] == found.documents
    assert "30 days" in again["answer"]
    assert len(found.asked) == kit.calls == 1
    assert len(list(chain.stream({"question": QUESTION}))) > 3


@EVERY_WAY
async def test_a_chain_that_ends_with_a_message(kit: Kit, way: Way) -> None:
    chain = cached(kit, TWO_MESSAGES.partial(context=SHOP) | kit.stock())
    first = await way(chain, {"question": QUESTION})
    again = await way(chain, {"question": REWORDED})
    await kit.aclose()
    assert type(again) is type(first)
    assert again.content == first.content
    assert again.id != first.id
    assert again.response_metadata["aegis"]["outcome"] == "hit_semantic"
    assert again.response_metadata["done_reason"] == "stop"
    assert again.usage_metadata["total_tokens"] == 0
    assert kit.calls == 1


VALUES = {
    "list": ["a", 1, None, True, 2.5],
    "nested": {"a": [{"b": ("c", 1)}], "$d": 2, "$tuple": "x"},
    "messages": [HumanMessage("hi"), AIMessage("there", tool_calls=[])],
    "number": 42,
    "big": 1 << 70,
    "document": Document("text", metadata={"a": {"b": 1}}, id="x"),
    "unicode": {"é": "日本 🙂"},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_comes_back_is_equal(kit: Kit, value: Any) -> None:
    ran: list[str] = []

    def answer(question: str) -> Any:
        ran.append(question)
        return value

    chain = cached(kit, RunnableLambda(answer), name="values")
    chain.invoke(QUESTION)
    again = chain.invoke(QUESTION)
    if isinstance(value, list) and isinstance(value[-1], AIMessage):
        assert [(m.type, m.content) for m in again] == [(m.type, m.content) for m in value]
    else:
        assert again == value
    assert type(again) is type(value)
    assert len(ran) == 1


class Shape(BaseModel):
    sides: int


@pytest.mark.parametrize(
    "value",
    [Shape(sides=3), {1: "a"}, {"a": {1, 2}}, float("nan"), "\ud800", object(), b"x"],
    ids=["pydantic", "keys", "set", "nan", "surrogate", "object", "bytes"],
)
def test_what_is_not_stored_is_served(
    kit: Kit, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    chain = cached(kit, RunnableLambda(lambda _: value), name="unstorable")
    with observe() as seen:
        assert all(chain.invoke(QUESTION) is value for _ in range(2))
        assert [list(chain.stream(QUESTION)) for _ in range(2)]
    assert set(seen.outcomes) == {"miss"}
    assert caplog.text.count("served and not stored") <= 1


@pytest.mark.parametrize("value", ["", "  \n", None, [], {}, {"answer": "", "context": ["a"]}])
def test_an_empty_answer_is_not_stored(kit: Kit, value: Any) -> None:
    chain = cached(kit, RunnableLambda(lambda _: value), name="empty")
    with observe() as seen:
        assert [chain.invoke(QUESTION) for _ in range(2)] == [value] * 2
    assert seen.outcomes == ["miss", "miss"]


def test_parsed_json_is_streamed_as_it_was(kit: Kit) -> None:
    def told(_: Any) -> Any:
        return '{"a": [1, 2], "b": "text"}'

    def letters(parts: Any) -> Any:
        for part in parts:
            yield from part

    chain = cached(kit, RunnableLambda(told) | letters | JsonOutputParser())
    first = list(chain.stream(QUESTION))
    assert len(first) > 2
    assert list(chain.stream(QUESTION)) == [first[-1]] == [{"a": [1, 2], "b": "text"}]
    assert chain.invoke(QUESTION) == first[-1]


def test_a_cut_answer_is_not_stored(kit: Kit) -> None:
    chain = cached(kit, rag(kit.stock(num_predict=2), retriever()))
    with observe() as seen:
        for _ in range(2):
            chain.invoke(QUESTION)
            list(chain.stream(QUESTION))
    assert seen.outcomes == ["miss"] * 4
    assert seen[0].reason == "no_candidate; not stored: done_reason_length"


def test_what_a_fallback_said_is_not_stored(kit: Kit) -> None:
    def fails(_: Any) -> str:
        raise ConnectionError

    chain = cached(kit, RunnableLambda(fails).with_fallbacks([RunnableLambda(lambda _: "Sorry.")]))
    with observe() as seen:
        assert [chain.invoke(QUESTION) for _ in range(2)] == ["Sorry."] * 2
    assert seen.outcomes == ["miss"] * 2
    assert seen[0].reason.endswith("not stored: done_reason_error")


@EVERY_WAY
async def test_an_error_passes_through_and_nothing_is_stored(kit: Kit, way: Way) -> None:
    class Mine(Exception):  # noqa: N818
        pass

    error, ran = Mine("as it is"), []

    def fails(_: Any) -> str:
        ran.append(1)
        raise error

    chain = cached(kit, RunnableLambda(fails), name="failing")
    for _ in range(2):
        with pytest.raises(Mine) as told:
            await way(chain, QUESTION)
        assert told.value is error
    assert len(ran) == 2
    assert entries(kit) == {}


@EVERY_WAY
async def test_without_redis_the_chain_answers(kit: Kit, way: Way) -> None:
    found = retriever()
    chain = cached(
        kit, rag(kit.stock(), found), redis_url="redis://127.0.0.1:1", local_max_bytes=0
    )
    plain = await way(rag(kit.stock(), retriever()), QUESTION)
    with observe() as seen:
        assert [await way(chain, QUESTION) for _ in range(2)] == [plain] * 2
    await kit.aclose()
    assert len(found.asked) == 2
    assert all(one.outcome == "miss" and one.reason.startswith("redis") for one in seen)


@EVERY_WAY
async def test_an_entry_of_another_shape_runs_the_chain(kit: Kit, way: Way) -> None:
    chain = cached(kit, RunnableLambda(lambda _: {"a": "text"}), name="shape")
    request = chain._request(QUESTION, {}, {})
    chain._answering.service.open(request).store(Answer(text="x", info={"value": {"$bad": 1}}))
    assert await way(chain, QUESTION) == {"a": "text"}
    with observe() as seen:
        assert await way(chain, QUESTION) == {"a": "text"}
    assert seen.outcomes == ["hit_local"]
