"""Answers know the documents they were made from, without a change to the chain."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    Runnable,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.tools import create_retriever_tool
from langchain_ollama import OllamaLLM

from aegis_llm import cache_control, codec
from aegis_llm.values import Entry
from langchain_aegis import _documents
from langchain_aegis._documents import documents_of
from tests.langchain.handbook import CONTEXT_FIRST, SHOP, rag_chain, retriever_of
from tests.langchain.kit import MODEL, Kit
from tests.langchain.ways import WAYS

QUESTION = "What is the refund period for bicycles?"


class Numbered(BaseRetriever):
    """Finds the one document that the question names last."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        number = query.rstrip("?").split()[-1]
        return [Document(f"The code of item {number} is {number}00.", id=f"item-{number}")]


def entries(kit: Kit) -> dict[str, Entry]:
    """Return what the exact tier holds, by the text of the answer."""
    with redis.Redis.from_url(kit.redis_url) as client:
        keys = client.scan_iter(f"aegis:v1:{kit.namespace}:x:*")
        found = [codec.decode(client.get(key)) for key in keys]  # type: ignore[arg-type]
    return {entry.answer.text: entry for entry in found if entry is not None}


def only(kit: Kit) -> Entry:
    (entry,) = entries(kit).values()
    return entry


def chain_of(model: Any, retriever: Any) -> Any:
    return (
        {"context": retriever | _joined, "question": RunnablePassthrough()} | CONTEXT_FIRST | model
    )


def _joined(docs: list[Document]) -> str:
    return "\n\n".join(doc.page_content for doc in docs)


CHAIN_WAYS = {name: way for name, way in WAYS.items() if not name.endswith("v3")}
EVERY_WAY = pytest.mark.parametrize("way", CHAIN_WAYS.values(), ids=CHAIN_WAYS)


@EVERY_WAY
async def test_every_way_of_calling_a_chain(kit: Kit, way: Any) -> None:
    model = kit.aegis(embeddings=None)
    await way(chain_of(model, retriever_of(kit.embeddings)), QUESTION)
    assert only(kit).documents == ("shop",)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "batch", "abatch"])
async def test_the_cache_of_any_chat_model_knows_them_too(kit: Kit, way: str) -> None:
    model = kit.cache(embeddings=None).bind(kit.stock())
    await WAYS[way](chain_of(model, retriever_of(kit.embeddings)), QUESTION)
    await kit.aclose()
    assert only(kit).documents == ("shop",)


def test_the_cache_of_a_plain_model_knows_them_too(kit: Kit) -> None:
    llm: Any = kit.cache(embeddings=None).bind(
        OllamaLLM(model=MODEL, base_url=kit.ollama.base_url)
    )
    chain_of(llm, retriever_of(kit.embeddings)).invoke(QUESTION)
    assert only(kit).documents == ("shop",)


@pytest.mark.parametrize("model", ["chat", "plain"])
async def test_nobody_else_misses_an_event(kit: Kit, model: str) -> None:
    """LangChain forgets handlers that do not run inline when another one does."""
    kit.aegis()  # from here on we listen

    class Heard(BaseCallbackHandler):
        def __init__(self) -> None:
            self.events: list[str] = []

        def on_llm_start(self, *_: Any, **__: Any) -> None:
            self.events.append("start")

        def on_chat_model_start(self, *_: Any, **__: Any) -> None:
            self.events.append("start")

        def on_llm_end(self, *_: Any, **__: Any) -> None:
            self.events.append("end")

    heard = Heard()
    llm: Any = (
        kit.stock() if model == "chat" else OllamaLLM(model=MODEL, base_url=kit.ollama.base_url)
    )
    await llm.ainvoke("Hello?", config={"callbacks": [heard]})
    llm.invoke("Hello?", config={"callbacks": [heard]})
    if model == "chat":
        await kit.aclose()
    else:
        await llm._async_client._client.aclose()
    assert heard.events == ["start", "end"] * 2


def test_a_retriever_inside_a_function(kit: Kit) -> None:
    model, retriever = kit.aegis(embeddings=None), retriever_of(kit.embeddings)

    def answer(question: str) -> Any:
        context = _joined(retriever.invoke(question))
        return model.invoke(f"{context}\n\nQuestion: {question}")

    RunnableLambda(answer).invoke(QUESTION)
    assert only(kit).documents == ("shop",)


def test_a_retriever_as_a_tool(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    tool = create_retriever_tool(retriever_of(kit.embeddings), "handbook", "Search the handbook.")

    def agent(question: str) -> Any:
        found = tool.invoke({"query": question})
        return model.invoke(f"{found}\n\nQuestion: {question}")

    RunnableLambda(agent).invoke(QUESTION)
    assert only(kit).documents == ("shop",)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream"])
async def test_an_agent_that_searches(kit: Kit, way: str) -> None:
    agents = pytest.importorskip("langchain.agents", reason="the package langchain is absent")
    tool = create_retriever_tool(retriever_of(kit.embeddings), "handbook", "Search the handbook.")
    agent = agents.create_agent(kit.aegis(embeddings=None), [tool])
    asked: Any = {"messages": [("user", f"Use the handbook tool: {QUESTION}")]}
    if way == "invoke":
        agent.invoke(asked)
    elif way == "ainvoke":
        await agent.ainvoke(asked)
    else:
        assert list(agent.stream(asked, stream_mode="messages"))
    first, second = sorted(entries(kit).values(), key=lambda entry: len(entry.documents))
    assert first.documents == ()
    assert first.answer.tool_calls
    assert second.documents == ("shop",)


def test_what_a_retriever_sorts_out_is_not_among_them(kit: Kit) -> None:
    class First(BaseRetriever):
        inner: Any

        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            found = self.inner.invoke(query, config={"callbacks": run_manager.get_child()})
            return list(found[:1])

    class Two(BaseRetriever):
        def _get_relevant_documents(
            self, query: str, *, run_manager: CallbackManagerForRetrieverRun
        ) -> list[Document]:
            return [Document("It opens at 8.", id="a"), Document("It is red.", id="b")]

    chain_of(kit.aegis(embeddings=None), First(inner=Two())).invoke(QUESTION)
    assert only(kit).documents == ("a",)


def test_a_retriever_before_the_run_has_no_link(kit: Kit) -> None:
    model, retriever = kit.aegis(embeddings=None), retriever_of(kit.embeddings)
    context = _joined(retriever.invoke(QUESTION))
    model.invoke(f"{context}\n\nQuestion: {QUESTION}")
    with cache_control(documents=["by hand"]):
        model.invoke(f"{context}\n\nQuestion: Where is the office?")
    assert {entry.documents for entry in entries(kit).values()} == {(), ("by hand",)}


def test_branches_that_run_side_by_side(kit: Kit) -> None:
    """A branch has its own documents at least; those of another one that ended do no harm."""
    model = kit.aegis(embeddings=None)
    chain = RunnableParallel(
        one=RunnableLambda(lambda _: "What is the code of item 1?") | chain_of(model, Numbered()),
        two=RunnableLambda(lambda _: "What is the code of item 2?") | chain_of(model, Numbered()),
    )
    chain.invoke("go")
    found = entries(kit).values()
    assert len(found) == 2
    for entry in found:
        assert f"item-{entry.answer.text.split('00')[0][-1]}" in entry.documents


def test_a_summary_of_answers_rests_on_the_documents_of_all(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    questions = [f"What is the code of item {n}?" for n in range(3)]
    each = chain_of(model, Numbered()) | StrOutputParser()

    def reduced(asked: list[str]) -> Any:
        return model.invoke("Summarise: " + " ".join(each.batch(asked)))

    RunnableLambda(reduced).invoke(questions)
    longest = max(entries(kit).values(), key=lambda entry: len(entry.documents))
    assert set(longest.documents) == {"item-0", "item-1", "item-2"}


async def test_threads_and_tasks_do_not_mix(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    chain: Runnable[str, str] = chain_of(model, Numbered()) | StrOutputParser()
    gate = threading.Barrier(32)

    def ask(number: int) -> str:
        gate.wait(60)
        question = f"What is the code of item {number}?"
        return chain.invoke(question) if number % 2 else "".join(chain.stream(question))

    async def aask(number: int) -> str:
        question = f"What is the code of item {number}?"
        if number % 2:
            return await chain.ainvoke(question)
        return "".join([part async for part in chain.astream(question)])

    with ThreadPoolExecutor(32) as pool:
        threads = [pool.submit(ask, number) for number in range(100, 132)]
        tasks = await asyncio.gather(*(aask(number) for number in range(200, 232)))
        answers = [thread.result() for thread in threads] + tasks
    found = entries(kit)
    assert len(found) == len(set(answers)) == 64
    for number, answer in zip([*range(100, 132), *range(200, 232)], answers, strict=True):
        assert f"{number}00" in answer
        assert found[answer].documents == (f"item-{number}",)


async def test_nothing_is_kept_of_runs_that_ended(kit: Kit) -> None:
    model = kit.aegis(embeddings=None)
    trail = _documents._documents.trail
    chain = chain_of(model, retriever_of(kit.embeddings))
    before = len(trail)
    for way in CHAIN_WAYS.values():
        await way(chain, QUESTION)
    stream = chain.stream(QUESTION)
    next(stream)
    stream.close()
    failing = RunnableLambda(lambda _: retriever_of(kit.embeddings)) | RunnableLambda(_fail)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            failing.invoke(QUESTION)
    assert len(trail) == before


def _fail(_: Any) -> None:
    raise ZeroDivisionError


def test_how_a_document_gets_its_id() -> None:
    made_up = str(uuid4())
    given = [
        Document("a", id="own", metadata={"doc_id": "whole", "id": "x", "source": "s"}),
        Document("b", id="own", metadata={"id": "x", "source": "s"}),
        Document("c", id=made_up, metadata={"id": 7, "source": "s"}),
        Document("d", id=made_up, metadata={"source": "s.md"}),
        Document("e", id=made_up, metadata={"source": None}),
        Document("f"),
        Document("f"),
    ]
    found = documents_of([*given, "no document"])
    assert [one.id for one in found[:5]] == ["whole", "own", "7", "s.md", made_up]
    assert found[5].id == f"sha256:{found[5].hash}"
    assert [one.text for one in found] == ["a", "b", "c", "d", "e", "f"]
    assert len({one.hash for one in found}) == 6


def test_two_pieces_of_one_document_are_two(kit: Kit) -> None:
    pieces = [Document("It opens at 8.", id="h"), Document("It is in Bergen.", id="h")]
    assert [(one.id, one.text) for one in documents_of(pieces * 2)] == [
        ("h", "It opens at 8."), ("h", "It is in Bergen."),
    ]  # fmt: skip
    chain = rag_chain(
        kit.aegis(embeddings=None), RunnableLambda(lambda _: [Document(SHOP)]), CONTEXT_FIRST
    )
    chain.invoke(QUESTION)
    assert only(kit).documents == ()  # no retriever, so nobody told of documents
